//! Which user somebody is whom the IAM vouches for, over the database.

use std::error::Error;
use std::sync::Arc;

use futures::future::BoxFuture;
use tandem_http::identity::{Insider, NotMapped, Outsider, Outsiders};
use tandem_storage::{ExternalIdentity, IdentityError, Storage};
use tracing::error;

/// See the module.
pub(crate) struct StoredOutsiders {
    pub(crate) storage: Arc<Storage>,
    /// The digest realm of those who become users.
    pub(crate) realm: String,
}

impl Outsiders for StoredOutsiders {
    fn insider<'a>(&'a self, who: &'a Outsider) -> BoxFuture<'a, Result<Insider, NotMapped>> {
        Box::pin(async move {
            let identity = ExternalIdentity {
                tenant: &who.tenant,
                issuer: &who.issuer,
                subject: who.subject.reveal(),
                extension: who.extension.as_ref().map(|it| it.reveal().as_str()),
                display_name: who.display_name.as_ref().map(|it| it.reveal().as_str()),
                provision: who.provision,
                realm: &self.realm,
            };
            let user = self.storage.external_user(&identity).await.map_err(refused)?;
            Ok(Insider {
                user_id: user.user_id,
                name: user.name,
                extension: user.extension,
                display_name: user.display_name,
            })
        })
    }
}

fn refused(error: IdentityError) -> NotMapped {
    match error {
        IdentityError::Unknown => NotMapped::Unknown,
        IdentityError::NoExtension => NotMapped::NoExtension,
        IdentityError::Taken => NotMapped::Taken,
        IdentityError::Query(error) => {
            error!(error = &error as &dyn Error, "database does not say who somebody is");
            NotMapped::Unavailable
        }
    }
}
