//! The engine in its world: ladders, probes, bad luck.

mod ladders;
mod probes;
mod registering;
