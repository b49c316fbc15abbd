//! Which actors a call has.

use serde_json::Value;

use super::node::Node;

/// Kind and id of every actor of the only call there is.
pub fn actors(node: &Node) -> Vec<(&'static str, String)> {
    let view = node.calls();
    let call = &view[0];
    let id = |it: &Value| it.as_str().unwrap().to_owned();
    let mut actors = vec![("call", id(&call["call_id"]))];
    for leg in call["legs"].as_array().unwrap() {
        let leg = id(&leg["leg_id"]);
        // A leg has one track, with the same number.
        actors.push(("track", leg.replacen("leg_", "trk_", 1)));
        actors.push(("leg", leg));
    }
    actors
}
