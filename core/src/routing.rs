//! The dial plan: where a call goes, as a pure function of a table and of what was dialled.

use std::collections::HashMap;
use std::net::SocketAddr;

use crate::cause::Cause;
use crate::id::{DeviceId, Tenant, UserId};
use crate::numbering::NumberingPlan;
use crate::party::{Identity, Number, TrunkName};

/// What a call asks of the plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// Whose plan.
    pub tenant: Tenant,
    /// Who wants to know.
    pub caller: Identity,
    /// What was dialled, as it came.
    pub dialled: Number,
}

/// An account that can be dialled by its extension.
#[derive(Clone, Debug, PartialEq)]
pub struct Extension {
    /// Whose tenant.
    pub tenant: Tenant,
    /// The number.
    pub number: Number,
    /// The user behind it.
    pub user_id: UserId,
    /// His credentials.
    pub device_id: DeviceId,
}

/// A carrier or PBX, as the configuration has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Trunk {
    /// Its name.
    pub name: TrunkName,
    /// Whose: nobody else calls through it.
    pub tenant: Tenant,
    /// Where its calls go.
    pub address: SocketAddr,
    /// Numbers that go there begin with one of these; an empty prefix takes everything.
    pub prefixes: Vec<String>,
}

impl Trunk {
    /// The longest of its prefixes that the number begins with.
    #[must_use]
    pub fn prefix_of(&self, number: &str) -> Option<&str> {
        let matching = self.prefixes.iter().filter(|prefix| number.starts_with(prefix.as_str()));
        matching.max_by_key(|prefix| prefix.len()).map(String::as_str)
    }
}

/// Where a call goes.
#[derive(Clone, Debug, PartialEq)]
pub enum Route<'a> {
    /// To every contact of an account.
    Extension(&'a Extension),
    /// To a trunk, with this number.
    Trunk(&'a Trunk, Number),
}

/// The plan of one node: read on every call, replaced as a whole.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    extensions: HashMap<(Tenant, String), Extension>,
    trunks: Vec<Trunk>,
    numbering: NumberingPlan,
}

impl Plan {
    /// From the accounts, the trunks in order of configuration, and how numbers are read.
    #[must_use]
    pub fn new(extensions: Vec<Extension>, trunks: Vec<Trunk>, numbering: NumberingPlan) -> Self {
        let key = |it: &Extension| (it.tenant.clone(), it.number.reveal().clone());
        let extensions = extensions.into_iter().map(|it| (key(&it), it)).collect();
        Self { extensions, trunks, numbering }
    }

    /// Decides where a call goes: an extension of the tenant first, else the trunk with the longest matching prefix.
    ///
    /// # Errors
    /// [`Cause::InvalidNumber`] when it cannot be dialled, [`Cause::UnknownNumber`] when nobody has it.
    pub fn route(&self, query: &Query) -> Result<Route<'_>, Cause> {
        let dialled = query.dialled.reveal();
        if let Some(extension) = self.extensions.get(&(query.tenant.clone(), dialled.clone())) {
            return Ok(Route::Extension(extension));
        }
        let number = self.numbering.read(dialled).map_err(|_| Cause::InvalidNumber)?;
        let trunk = self.trunk_for(&query.tenant, &number).ok_or(Cause::UnknownNumber)?;
        Ok(Route::Trunk(trunk, number.into()))
    }

    fn trunk_for(&self, tenant: &Tenant, number: &str) -> Option<&Trunk> {
        let longest = |trunk: &Trunk| trunk.prefix_of(number).map(str::len);
        // Reversed, so that of equals the first in the configuration wins: max_by_key takes the last.
        let matching = self
            .trunks
            .iter()
            .rev()
            .filter(|trunk| trunk.tenant == *tenant)
            .filter_map(|trunk| Some((longest(trunk)?, trunk)));
        matching.max_by_key(|(length, _)| *length).map(|(_, trunk)| trunk)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn plan() -> Plan {
        let trunk = |name: &str, prefixes: &[&str]| Trunk {
            name: TrunkName(name.into()),
            tenant: if name == "theirs" { "other".parse().unwrap() } else { Tenant::default_tenant() },
            address: "127.0.0.1:5070".parse().unwrap(),
            prefixes: prefixes.iter().map(|it| (*it).to_owned()).collect(),
        };
        let extension = |tenant: &str, number: &str| Extension {
            tenant: tenant.parse().unwrap(),
            number: number.to_owned().into(),
            user_id: UserId::from_uuid(Uuid::from_u128(1)),
            device_id: DeviceId::from_uuid(Uuid::from_u128(2)),
        };
        Plan::new(
            vec![extension("default", "1001"), extension("other", "2001")],
            vec![
                trunk("world", &["+"]),
                trunk("berlin", &["+4930", "+4933"]),
                trunk("spare", &["+"]),
                trunk("theirs", &["+49", "+4930123"]),
            ],
            NumberingPlan::new(Some("DE")).unwrap(),
        )
    }

    fn route(dialled: &str) -> Result<String, Cause> {
        route_in("default", dialled)
    }

    fn route_in(tenant: &str, dialled: &str) -> Result<String, Cause> {
        let caller = Identity::Trunk { trunk: TrunkName("in".into()) };
        let query = Query { tenant: tenant.parse().unwrap(), caller, dialled: dialled.to_owned().into() };
        plan().route(&query).map(|route| match route {
            Route::Extension(it) => it.number.reveal().clone(),
            Route::Trunk(trunk, number) => format!("{} {}", trunk.name, number.reveal()),
        })
    }

    #[test]
    fn an_extension_goes_before_trunks_and_the_longest_prefix_wins() {
        for (dialled, goes) in [
            ("1001", "1001"),
            ("030123456", "berlin +4930123456"),
            ("+4940123456", "world +4940123456"),
            ("0040213123456", "world +40213123456"),
        ] {
            assert_eq!(route(dialled).as_deref(), Ok(goes), "{dialled}");
        }
    }

    #[test]
    fn an_extension_of_another_tenant_is_unknown() {
        assert_eq!(route("2001"), Err(Cause::UnknownNumber));
        assert_eq!(route_in("other", "1001"), Err(Cause::UnknownNumber));
        assert_eq!(route_in("other", "2001").as_deref(), Ok("2001"));
    }

    #[test]
    fn nobody_calls_through_another_tenant_s_trunk_however_well_it_fits() {
        assert_eq!(route("+4930123456").as_deref(), Ok("berlin +4930123456"));
        assert_eq!(route_in("other", "+4930123456").as_deref(), Ok("theirs +4930123456"));
        assert_eq!(route_in("other", "+40213123456"), Err(Cause::UnknownNumber));
        assert_eq!(route_in("third", "+4930123456"), Err(Cause::UnknownNumber));
    }

    #[test]
    fn what_is_no_number_is_invalid_and_what_nobody_has_is_unknown() {
        assert_eq!(route("+12"), Err(Cause::InvalidNumber));
        assert_eq!(route("nobody"), Err(Cause::UnknownNumber));
    }
}
