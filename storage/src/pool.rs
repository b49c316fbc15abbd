//! How many connections to the database are in use.

use sea_orm::{DatabaseConnection, DbBackend};
use tandem_core::metric::Fill;

use crate::database::Storage;

impl Storage {
    /// Those that write and those that read.
    pub(crate) fn connections(&self) -> Fill {
        in_use(&self.writer) + in_use(&self.reader)
    }
}

fn in_use(db: &DatabaseConnection) -> Fill {
    let (open, idle, most) = match db.get_database_backend() {
        DbBackend::Sqlite => {
            let pool = db.get_sqlite_connection_pool();
            (pool.size(), pool.num_idle(), pool.options().get_max_connections())
        }
        DbBackend::Postgres => {
            let pool = db.get_postgres_connection_pool();
            (pool.size(), pool.num_idle(), pool.options().get_max_connections())
        }
        _ => return Fill::default(),
    };
    let number = |it: u32| usize::try_from(it).unwrap_or(usize::MAX);
    Fill { depth: number(open).saturating_sub(idle), capacity: number(most) }
}
