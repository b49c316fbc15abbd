mod forwarding;
mod layers;
mod reports;
mod world;
