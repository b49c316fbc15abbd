mod forwarding;
mod world;
