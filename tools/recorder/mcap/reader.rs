//! Reading recordings.
