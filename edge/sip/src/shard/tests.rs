//! The engine in its world: ladders, probes, bad luck.

mod broken;
mod ladders;
mod probes;
mod registering;
