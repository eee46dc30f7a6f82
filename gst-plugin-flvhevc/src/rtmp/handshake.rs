//! The plain handshake (RTMP 1.0, 5.2): every server takes it.

use super::refusal::Refusal;

const VERSION: u8 = 3;
const PACKET: usize = 1536;
/// Time and a word that is 0: what follows is random.
const RANDOM_AT: usize = 8;

/// What has come of S0, S1 and S2.
#[derive(Debug)]
pub struct Handshake {
    has_version: bool,
    s1: Vec<u8>,
    s2: usize,
}

impl Handshake {
    /// Begins: writes C0 and C1. `seed` makes the random part.
    pub fn new(seed: u64, out: &mut Vec<u8>) -> Self {
        out.push(VERSION);
        out.extend_from_slice(&[0; RANDOM_AT]);
        // The bytes need not be secret, just differ.
        let mut state = seed | 1;
        for _ in RANDOM_AT..PACKET {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            out.push(state as u8);
        }
        Self { has_version: false, s1: Vec::new(), s2: 0 }
    }

    /// Takes what has come and answers S1. Returns how many bytes it took, and whether the handshake is complete: what is
    /// behind those bytes are chunks.
    ///
    /// # Errors
    /// [`Refusal::Version`].
    pub fn receive(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(usize, bool), Refusal> {
        let mut rest = bytes;
        if !self.has_version {
            let Some((version, behind)) = rest.split_first() else {
                return Ok((0, false));
            };
            // Servers of later versions answer a 3 with a 3.
            if *version != VERSION {
                return Err(Refusal::Version(*version));
            }
            self.has_version = true;
            rest = behind;
        }
        if self.s1.len() < PACKET {
            let (part, behind) = rest.split_at(rest.len().min(PACKET - self.s1.len()));
            self.s1.extend_from_slice(part);
            rest = behind;
            if self.s1.len() == PACKET {
                out.extend_from_slice(&self.s1);
            }
        }
        // What S2 repeats is not compared: servers that sign it repeat nothing.
        let part = rest.len().min(PACKET - self.s2);
        if self.s1.len() == PACKET {
            self.s2 += part;
            rest = &rest[part..];
        }
        Ok((bytes.len() - rest.len(), self.s2 == PACKET))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s1_is_repeated_and_what_is_behind_s2_is_left() {
        let s1 = (0..PACKET).map(|at| at as u8).collect::<Vec<_>>();
        let answer = [&[VERSION], s1.as_slice(), &[7; PACKET], b"chunks"].concat();
        for piece in [1, 2, 1000, 1537, answer.len()] {
            let mut out = Vec::new();
            let mut handshake = Handshake::new(9, &mut out);
            assert_eq!((out.len(), out[0]), (1 + PACKET, VERSION));
            out.clear();
            let (mut at, mut is_complete) = (0, false);
            for part in answer.chunks(piece) {
                if is_complete {
                    break;
                }
                let (taken, complete) = handshake.receive(part, &mut out).unwrap();
                assert!(complete || taken == part.len());
                at += taken;
                is_complete = complete;
            }
            assert!(is_complete);
            assert_eq!(&answer[at..], b"chunks");
            assert_eq!(out, s1);
        }
    }

    #[test]
    fn another_protocol_is_refused() {
        let refusal = Handshake::new(9, &mut Vec::new()).receive(b"HTTP/1.1 400", &mut Vec::new()).unwrap_err();
        assert_eq!(refusal, Refusal::Version(b'H'));
    }
}
