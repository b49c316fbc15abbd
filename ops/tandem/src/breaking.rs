//! `tandem break`: asks the node to break one of its parts.

use anyhow::{Result, bail};
use serde_json::json;
use tandem_actors::drill::How;

use crate::ask;
use crate::config::Config;
use crate::token::existing_token;

/// Breaks a part. Says what was done, or what to do about a refusal.
///
/// # Errors
/// Nobody there, or why the node refuses.
pub(crate) async fn part(config: &Config, id: &str, how: How) -> Result<String> {
    let token = existing_token(&config.storage.data_dir)?;
    let request = json!({ "id": id, "how": how });
    let (status, body) = ask::post(config.http.bind, &token, "/api/v1/ops/break", &request).await?;
    match status {
        204 => Ok(format!("{id}: told to {}. `tandem tree` shows how it comes back.\n", verb(how))),
        401 => bail!(
            "the node at {} does not know the token in {}: is it another node's?",
            config.http.bind,
            config.storage.data_dir.display()
        ),
        403 => bail!(
            "this node lets nobody break anything; start it with TANDEM__OPS__ALLOW_BREAK=true, or with \
             `allow_break = true` under [ops] in its configuration"
        ),
        404 => bail!("there is no {id:?} now; `tandem tree` shows what there is"),
        409 => bail!("{id} is a thread, which nobody can kill; try --how panic or --how hang"),
        _ => bail!("the node refused with {status}: {body}"),
    }
}

const fn verb(how: How) -> &'static str {
    match how {
        How::Kill => "die",
        How::Panic => "panic",
        How::Hang => "hang",
    }
}
