mod forwarding;
mod hostile;
mod layers;
mod reports;
mod world;
