//! Which actors a call has.

use tandem_actors::tree::Kind;

use super::node::Node;

/// Ids of every actor of the calls there are: calls first, then legs, then tracks.
pub fn actors(node: &Node) -> Vec<String> {
    let is_of_a_call = |kind| matches!(kind, Kind::Call | Kind::Leg | Kind::Track);
    node.tree().into_iter().filter(|part| is_of_a_call(part.kind)).map(|part| part.id).collect()
}
