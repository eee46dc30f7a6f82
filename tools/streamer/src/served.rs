//! A server of all cameras, as the configuration has it at the moment.

use std::net::SocketAddr;

use tools_cli::failure::Failure;

/// A server `S` that was made from a plan `P`.
#[derive(Debug)]
pub struct Served<P, S>(Option<(P, S)>);

impl<P, S> Default for Served<P, S> {
    fn default() -> Self {
        Self(None)
    }
}

impl<P: PartialEq, S> Served<P, S> {
    /// What it was made from.
    pub fn plan(&self) -> Option<&P> {
        self.0.as_ref().map(|(plan, _)| plan)
    }

    /// Serves what is wanted from now on. What was served goes on when that cannot be.
    ///
    /// # Errors
    /// What `start` complains of.
    pub fn serve(
        &mut self,
        wanted: Option<P>,
        listen: impl Fn(&P) -> SocketAddr,
        start: impl Fn(&P) -> Result<S, Failure>,
    ) -> Result<(), Failure> {
        if self.plan() == wanted.as_ref() {
            return Ok(());
        }
        let Some(wanted) = wanted else {
            self.0 = None;
            return Ok(());
        };
        let before = match self.0.take() {
            // The address is free when the one before has left.
            Some((before, server)) if listen(&before) == listen(&wanted) => {
                drop(server);
                Some((before, None))
            }
            before => before.map(|(before, server)| (before, Some(server))),
        };
        match (start(&wanted), before) {
            (Ok(server), _) => {
                self.0 = Some((wanted, server));
                Ok(())
            }
            (Err(failure), None) => Err(failure),
            (Err(failure), Some((before, server))) => {
                let server = server.map_or_else(|| start(&before), Ok)?;
                self.0 = Some((before, server));
                Err(failure)
            }
        }
    }
}
