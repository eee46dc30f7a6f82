//! What a scenario found: figures, and what each has to be.

use std::fmt;

use serde::Serialize;

/// What a figure has to be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    AtLeast(f64),
    AtMost(f64),
    Exactly(f64),
}

/// What a figure says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// That the fault was there; measured apart from the program that suffers it.
    Injected,
    /// What came of it.
    Seen,
}

#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    pub kind: Kind,
    pub name: String,
    pub value: f64,
    /// None: told, and not judged.
    pub expected: Option<Bound>,
    pub met: bool,
}

/// All figures of a scenario.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Verdict {
    pub figures: Vec<Figure>,
    /// Why it did not come to its end.
    pub error: Option<String>,
}

impl Verdict {
    pub fn add(&mut self, kind: Kind, name: &str, value: f64, expected: Option<Bound>) {
        let met = expected.is_none_or(|bound| bound.holds(value));
        self.figures.push(Figure { kind, name: name.to_owned(), value, expected, met });
    }

    pub fn passed(&self) -> bool {
        self.error.is_none() && self.figures.iter().all(|figure| figure.met) && self.was_injected()
    }

    /// A scenario without a fault proves nothing.
    pub fn was_injected(&self) -> bool {
        let mut injected = self.figures.iter().filter(|figure| figure.kind == Kind::Injected).peekable();
        injected.peek().is_some() && injected.all(|figure| figure.met)
    }

    /// PASS, or why not in a few words.
    pub fn status(&self) -> &'static str {
        match (self.passed(), self.was_injected() || self.error.is_some()) {
            (true, _) => "PASS",
            (false, true) => "FAIL",
            (false, false) => "FAIL (the fault was not injected)",
        }
    }
}

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
            Self::Exactly(exact) => value == exact,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(value) => write!(f, ">= {value}"),
            Self::AtMost(value) => write!(f, "<= {value}"),
            Self::Exactly(value) => write!(f, "= {value}"),
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Injected => "injected",
            Kind::Seen => "seen",
        };
        write!(f, "{kind:<8} {}={}", self.name, rounded(self.value))?;
        match self.expected {
            None => Ok(()),
            Some(bound) => write!(f, "  expected {bound}{}", if self.met { "" } else { "  MISSED" }),
        }
    }
}

/// Whole numbers as such, others with one decimal.
fn rounded(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_fault_nothing_passes() {
        let mut verdict = Verdict::default();
        verdict.add(Kind::Seen, "mixed", 0.0, Some(Bound::Exactly(0.0)));
        assert_eq!(verdict.status(), "FAIL (the fault was not injected)");
        verdict.add(Kind::Injected, "kills", 0.0, Some(Bound::AtLeast(1.0)));
        assert_eq!(verdict.status(), "FAIL (the fault was not injected)");
        verdict.figures[1].met = true;
        assert_eq!(verdict.status(), "PASS");
        verdict.error = Some("no pictures".to_owned());
        assert_eq!(verdict.status(), "FAIL");
    }

    #[test]
    fn figures_are_lines() {
        let mut verdict = Verdict::default();
        verdict.add(Kind::Seen, "latency_p95_ms", 12.34, Some(Bound::AtMost(10.0)));
        verdict.add(Kind::Injected, "kills", 3.0, None);
        let lines = verdict.figures.iter().map(Figure::to_string).collect::<Vec<_>>();
        assert_eq!(lines, ["seen     latency_p95_ms=12.3  expected <= 10  MISSED", "injected kills=3"]);
    }
}
