//! The HTTP edge as a service. The socket belongs to the node, so nobody is refused while it is started again.

use std::net::TcpListener;
use std::sync::Arc;

use tandem_actors::{Service, ServiceError};
use tandem_http::Api;
use tandem_http::config::Config;
use tokio_util::sync::CancellationToken;

/// See the module.
pub(crate) struct HttpService {
    pub(crate) listener: TcpListener,
    pub(crate) api: Api,
    pub(crate) config: Config,
}

impl Service for HttpService {
    fn name(&self) -> &str {
        "http"
    }

    async fn run(self: Arc<Self>, stop: CancellationToken) -> Result<(), ServiceError> {
        let listener = self.listener.try_clone()?;
        Ok(tandem_http::serve(listener, self.api.clone(), self.config.clone(), stop.cancelled_owned()).await?)
    }
}
