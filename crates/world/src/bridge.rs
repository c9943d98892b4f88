//! The bridge between a run's host and an agent that is spoken to by a protocol.

pub(crate) mod spec;

pub(crate) use spec::plan;
