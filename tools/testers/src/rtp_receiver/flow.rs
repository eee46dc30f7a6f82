//! The run of packets: sequence numbers, timestamps and the source, which has to stay the same.

use std::collections::VecDeque;

use super::packet::RtpHeader;

/// How far back a packet can be late and still be told from a repeated one.
const WINDOW: i64 = 1024;

/// Video has a 90 kHz clock (RFC 6184 section 8.2.1, RFC 7798 section 7.1).
pub const CLOCK_RATE: u32 = 90_000;

/// Pictures are reordered by fractions of a second. Ten seconds back are another stream's timestamps.
const MAX_TIMESTAMP_STEP_BACK: i64 = 10 * CLOCK_RATE as i64;

/// Frames whose packets may arrive among those of others.
const FRAMES_AT_ONCE: usize = 64;

/// Frames after which timestamps that never change are taken for a mistake.
const FRAMES_WITH_ONE_TIMESTAMP: u64 = 5;

#[derive(Debug, Default)]
pub struct Flow {
    pub packets: u64,
    pub lost: u64,
    pub reordered: u64,
    pub duplicates: u64,
    pub markers: u64,
    pub ssrc: Option<u32>,
    pub first_timestamp: Option<i64>,
    pub last_timestamp: i64,
    highest: i64,
    highest_timestamp: i64,
    /// Pictures, as their timestamps tell them apart.
    pub frames: u64,
    /// The last of their timestamps: packets arrive in another order than they were sent.
    recent: VecDeque<i64>,
    /// Which of the last sequence numbers came.
    seen: SeenWindow,
}

impl Flow {
    /// # Errors
    /// A sentence about what no single source sends.
    pub fn packet(&mut self, header: &RtpHeader) -> Result<(), String> {
        match self.ssrc {
            Some(ssrc) if ssrc != header.ssrc => {
                return Err(format!(
                    "packet {}: SSRC 0x{:08x} after 0x{ssrc:08x}: two senders, or one that began anew",
                    self.packets, header.ssrc
                ));
            }
            _ => self.ssrc = Some(header.ssrc),
        }
        self.sequence(header.sequence)?;
        self.timestamp(header.timestamp)?;
        self.packets += 1;
        self.markers += u64::from(header.marker);
        if self.markers >= FRAMES_WITH_ONE_TIMESTAMP && self.frames == 1 {
            return Err(format!(
                "{} frames ended (marker bit) and the timestamp is {} in all of them",
                self.markers, header.timestamp
            ));
        }
        Ok(())
    }

    fn sequence(&mut self, sequence: u16) -> Result<(), String> {
        if self.packets == 0 {
            self.highest = i64::from(sequence);
            self.seen.set(self.highest);
            return Ok(());
        }
        let step = i64::from(sequence.wrapping_sub(self.highest as u16).cast_signed());
        let extended = self.highest + step;
        if step > 0 {
            self.lost += (step - 1).unsigned_abs();
            for missing in (self.highest + 1).max(extended - WINDOW)..extended {
                self.seen.clear(missing);
            }
            self.highest = extended;
            self.seen.set(extended);
        } else if step <= -WINDOW {
            return Err(format!(
                "packet {}: sequence number {sequence} after {}: the numbering began anew",
                self.packets, self.highest as u16
            ));
        } else if self.seen.has(extended) {
            self.duplicates += 1;
        } else {
            self.reordered += 1;
            // Before the first packet there was nothing to lose.
            self.lost = self.lost.saturating_sub(1);
            self.seen.set(extended);
        }
        Ok(())
    }

    fn timestamp(&mut self, timestamp: u32) -> Result<(), String> {
        let Some(first) = self.first_timestamp else {
            self.first_timestamp = Some(i64::from(timestamp));
            self.last_timestamp = i64::from(timestamp);
            self.highest_timestamp = self.last_timestamp;
            self.frames = 1;
            self.recent.push_back(self.last_timestamp);
            return Ok(());
        };
        let step = i64::from(timestamp.wrapping_sub(self.last_timestamp as u32).cast_signed());
        let extended = self.last_timestamp + step;
        if self.highest_timestamp - extended > MAX_TIMESTAMP_STEP_BACK {
            return Err(format!(
                "packet {}: timestamp {timestamp} is {} s before the latest one: the clock jumped back",
                self.packets,
                (self.highest_timestamp - extended) / i64::from(CLOCK_RATE)
            ));
        }
        if !self.recent.contains(&extended) {
            self.frames += 1;
            self.recent.push_back(extended);
            self.recent.drain(..self.recent.len().saturating_sub(FRAMES_AT_ONCE));
        }
        self.last_timestamp = extended;
        self.highest_timestamp = self.highest_timestamp.max(extended).max(first);
        Ok(())
    }

    /// From the first picture to the latest.
    pub fn duration_ms(&self) -> i64 {
        let first = self.first_timestamp.unwrap_or(self.highest_timestamp);
        (self.highest_timestamp - first) * 1000 / i64::from(CLOCK_RATE)
    }
}

/// One bit for each of the last [`WINDOW`] sequence numbers.
#[derive(Debug)]
struct SeenWindow([bool; WINDOW as usize]);

impl Default for SeenWindow {
    fn default() -> Self {
        Self([false; WINDOW as usize])
    }
}

impl SeenWindow {
    fn slot(&mut self, sequence: i64) -> &mut bool {
        &mut self.0[sequence.rem_euclid(WINDOW) as usize]
    }

    fn has(&mut self, sequence: i64) -> bool {
        *self.slot(sequence)
    }

    fn set(&mut self, sequence: i64) {
        *self.slot(sequence) = true;
    }

    fn clear(&mut self, sequence: i64) {
        *self.slot(sequence) = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(sequence: u16, timestamp: u32) -> RtpHeader {
        RtpHeader { payload_type: 96, marker: false, sequence, timestamp, ssrc: 1, payload_length: 10 }
    }

    fn run(sequences: &[u16]) -> Flow {
        let mut flow = Flow::default();
        for sequence in sequences {
            flow.packet(&header(*sequence, 0)).unwrap();
        }
        flow
    }

    #[test]
    fn losses_are_counted_over_the_wrap() {
        let flow = run(&[65_533, 65_534, 1, 2]);
        assert_eq!((flow.lost, flow.reordered, flow.duplicates), (2, 0, 0));
    }

    #[test]
    fn a_late_packet_is_reordered_and_not_lost() {
        let flow = run(&[10, 12, 11, 13]);
        assert_eq!((flow.lost, flow.reordered, flow.duplicates), (0, 1, 0));
    }

    #[test]
    fn a_repeated_packet_is_a_duplicate() {
        let flow = run(&[10, 11, 11, 10, 12]);
        assert_eq!((flow.lost, flow.reordered, flow.duplicates), (0, 0, 2));
    }

    #[test]
    fn a_long_gap_leaves_no_stale_bits() {
        let flow = run(&[0, 1, 5000, 4999, 4998]);
        assert_eq!((flow.lost, flow.reordered, flow.duplicates), (4996, 2, 0));
    }

    #[test]
    fn packets_that_change_places_at_a_frames_border_make_no_frames() {
        let mut flow = Flow::default();
        // Two packets a frame; of every fourth frame, the last one comes behind the next one's first.
        let mut sent: Vec<_> = (0..400_u16).map(|number| (number, u32::from(number / 2) * 3000)).collect();
        (7..399).step_by(8).for_each(|last| sent.swap(last, last + 1));
        for (sequence, timestamp) in sent {
            flow.packet(&header(sequence, timestamp)).unwrap();
        }
        assert_eq!((flow.frames, flow.lost, flow.reordered), (200, 0, 49));
    }

    #[test]
    fn restarts_are_refused() {
        let mut flow = run(&[30_000]);
        assert!(flow.packet(&header(100, 0)).unwrap_err().contains("began anew"));
        let mut flow = run(&[1]);
        let other = RtpHeader { ssrc: 2, ..header(2, 0) };
        assert!(flow.packet(&other).unwrap_err().contains("0x00000002 after 0x00000001"));
    }

    #[test]
    fn timestamps_move_and_wrap_and_do_not_jump_back() {
        let mut flow = Flow::default();
        flow.packet(&header(1, u32::MAX - 44_999)).unwrap();
        flow.packet(&header(2, 45_000)).unwrap();
        assert_eq!(flow.duration_ms(), 1000);
        flow.packet(&header(3, 42_000)).unwrap();
        let back = 42_000_u32.wrapping_sub(CLOCK_RATE * 11);
        assert!(flow.packet(&header(4, back)).unwrap_err().contains("jumped back"));

        let mut frozen = Flow::default();
        let mut last = Ok(());
        for sequence in 0..10 {
            let packet = RtpHeader { marker: true, ..header(sequence, 7) };
            last = frozen.packet(&packet);
            if last.is_err() {
                break;
            }
        }
        assert!(last.unwrap_err().contains("in all of them"));
    }
}
