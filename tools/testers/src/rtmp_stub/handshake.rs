//! The server's side of the simple handshake (RTMP 1.0, section 5.2). Adobe's digests are not asked for: a server that says
//! version 0 in S1 gets none.

/// Bytes of C1, C2, S1 and S2.
const SIZE: usize = 1536;
const VERSION: u8 = 3;
/// Time and version, or the second time, in front of what is random.
const TIMES: usize = 8;

/// What is read so far of the client's part.
pub struct Handshake {
    came: Vec<u8>,
    s1: Vec<u8>,
    answered: bool,
}

/// How far it has come.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    Waits,
    /// `repeats`: C2 has what S1 had, as it should.
    Done {
        rest: Vec<u8>,
        repeats: bool,
    },
}

impl Handshake {
    /// `seed`: any number; S1 is made of it.
    pub fn new(seed: u64) -> Self {
        let mut state = seed | 1;
        let mut s1 = vec![0; TIMES];
        while s1.len() < SIZE {
            // Any bytes will do, if they are others each time (xorshift).
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            s1.extend(state.to_be_bytes());
        }
        Self { came: Vec::new(), s1, answered: false }
    }

    /// Takes what came; puts the answer into `out`.
    ///
    /// # Errors
    /// A sentence about what is no handshake.
    pub fn receive(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<Progress, String> {
        self.came.extend_from_slice(bytes);
        if let Some(version) = self.came.first().filter(|version| **version != VERSION) {
            return Err(format!("the RTMP handshake: it begins with 0x{version:02x}, and not with version {VERSION}"));
        }
        if !self.answered && self.came.len() > SIZE {
            self.answered = true;
            out.push(VERSION);
            out.extend_from_slice(&self.s1);
            out.extend_from_slice(&self.came[1..=SIZE]);
        }
        if self.came.len() <= 2 * SIZE {
            return Ok(Progress::Waits);
        }
        let rest = self.came.split_off(1 + 2 * SIZE);
        let c2 = &self.came[1 + SIZE..];
        Ok(Progress::Done { rest, repeats: c2[TIMES..] == self.s1[TIMES..] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_in_any_pieces_is_answered_once() {
        for piece in [1, 700, 5000] {
            let mut handshake = Handshake::new(5);
            let mut out = Vec::new();
            let c1 = (0..SIZE).map(|at| at as u8).collect::<Vec<_>>();
            let said = [&[VERSION][..], &c1].concat();
            for part in said.chunks(piece) {
                assert_eq!(handshake.receive(part, &mut out), Ok(Progress::Waits));
            }
            assert_eq!((out.len(), out[0]), (1 + 2 * SIZE, VERSION));
            assert_eq!(out[1 + SIZE..], c1);
            let c2 = [&out[1..=SIZE], b"rest"].concat();
            assert_eq!(handshake.receive(&c2, &mut out), Ok(Progress::Done { rest: b"rest".to_vec(), repeats: true }));
            assert_eq!(out.len(), 1 + 2 * SIZE);
        }
    }

    #[test]
    fn what_is_no_handshake_is_refused() {
        assert!(Handshake::new(1).receive(b"GET /", &mut Vec::new()).unwrap_err().contains("0x47"));
        let mut handshake = Handshake::new(1);
        let done = handshake.receive(&[VERSION; 1 + 2 * SIZE], &mut Vec::new());
        assert_eq!(done, Ok(Progress::Done { rest: vec![], repeats: false }));
        assert_ne!(Handshake::new(1).s1, Handshake::new(3).s1);
    }
}
