//! Routing as calls ask for it: core's plan, the contacts that the registrar knows, and who has a client open.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tandem_core::cause::Cause;
use tandem_core::id::LegId;
use tandem_core::location::Binding;
use tandem_core::party::{Address, Identity, Number, Party, Target};
use tandem_core::ports::{ClientPort, LocationPort, PlanPort};
use tandem_core::routing::{Extension, Plan, Query, Route, Trunk};
use uuid::Uuid;

/// The plan in force.
pub(crate) struct LivePlan {
    plan: ArcSwap<Plan>,
    locations: Arc<dyn LocationPort>,
    clients: Arc<dyn ClientPort>,
}

impl LivePlan {
    /// An empty plan; [`replace`](Self::replace) fills it.
    pub(crate) fn new(locations: Arc<dyn LocationPort>, clients: Arc<dyn ClientPort>) -> Self {
        Self { plan: ArcSwap::default(), locations, clients }
    }

    /// From now on this one.
    pub(crate) fn replace(&self, plan: Plan) {
        self.plan.store(Arc::new(plan));
    }

    fn devices(&self, extension: &Extension) -> Result<Vec<Target>, Cause> {
        let contacts = self.locations.contacts(&extension.tenant, extension.number.reveal());
        let client = self.clients.is_there(&extension.tenant, extension.user_id).then(|| client(extension));
        let ways: Vec<_> = contacts.into_iter().map(device).chain(client).collect();
        if ways.is_empty() { Err(Cause::Unreachable) } else { Ok(ways) }
    }
}

impl PlanPort for LivePlan {
    fn look_up(&self, query: &Query) -> Result<Vec<Target>, Cause> {
        match self.plan.load().route(query)? {
            Route::Extension(extension) => self.devices(extension),
            Route::Trunk(trunk, number) => Ok(vec![beyond(trunk, number)]),
        }
    }
}

/// One device of one of our users. The binding may be of other credentials than the extension: it tells who answers.
fn device(binding: Arc<Binding>) -> Target {
    let identity = Identity::User { user_id: binding.user_id, device_id: binding.device_id };
    let party = Party { number: binding.extension.clone(), name: None, identity };
    Target { leg: new_leg(), party, address: Address::Contact(binding) }
}

/// All clients of the user: one leg, which the first to answer gets.
fn client(extension: &Extension) -> Target {
    let identity = Identity::User { user_id: extension.user_id, device_id: extension.device_id };
    let party = Party { number: extension.number.clone(), name: None, identity };
    Target { leg: new_leg(), party, address: Address::Client(extension.user_id) }
}

fn beyond(trunk: &Trunk, number: Number) -> Target {
    let identity = Identity::Trunk { trunk: trunk.name.clone() };
    let party = Party { number: number.clone(), name: None, identity };
    let prefix = trunk.prefix_of(number.reveal()).map(Arc::from);
    Target { leg: new_leg(), party, address: Address::Trunk { address: trunk.address, number, prefix } }
}

fn new_leg() -> LegId {
    LegId::from_uuid(Uuid::now_v7())
}

#[cfg(test)]
mod tests {
    use tandem_core::id::{DeviceId, Tenant, UserId};
    use tandem_core::location::{Flow, Transport};
    use tandem_core::numbering::NumberingPlan;
    use tandem_core::party::TrunkName;
    use tandem_core::time::WallTime;

    use super::*;

    /// Two phones of 1001, none of 1002.
    struct Phones;

    impl LocationPort for Phones {
        fn contacts(&self, tenant: &Tenant, extension: &str) -> Vec<Arc<Binding>> {
            let phone = |port: u16| Binding {
                tenant: tenant.clone(),
                user_id: UserId::from_uuid(Uuid::from_u128(1)),
                device_id: DeviceId::from_uuid(Uuid::from_u128(2)),
                extension: extension.to_owned().into(),
                contact: format!("sip:{extension}@192.0.2.1:{port}"),
                parameters: String::new(),
                flow: Flow {
                    transport: Transport::Udp,
                    local: ([192, 0, 2, 9], 5060).into(),
                    remote: ([192, 0, 2, 1], port).into(),
                    connection: 0,
                },
                call_id: String::from("a"),
                cseq: 1,
                user_agent: None,
                expires: WallTime(i64::MAX),
            };
            if extension == "1001" { vec![Arc::new(phone(5060)), Arc::new(phone(5070))] } else { Vec::new() }
        }
    }

    /// Whether anybody has a page open.
    struct Pages(bool);

    impl ClientPort for Pages {
        fn is_there(&self, _: &Tenant, _: UserId) -> bool {
            self.0
        }
    }

    fn look_up(dialled: &str) -> Result<Vec<Target>, Cause> {
        look_up_with(dialled, false)
    }

    fn look_up_with(dialled: &str, page: bool) -> Result<Vec<Target>, Cause> {
        let live = LivePlan::new(Arc::new(Phones), Arc::new(Pages(page)));
        let extension = |number: &str| Extension {
            tenant: Tenant::default_tenant(),
            number: number.to_owned().into(),
            user_id: UserId::from_uuid(Uuid::from_u128(1)),
            device_id: DeviceId::from_uuid(Uuid::from_u128(2)),
        };
        let trunk = Trunk {
            name: TrunkName("world".into()),
            tenant: Tenant::default_tenant(),
            address: ([192, 0, 2, 7], 5060).into(),
            prefixes: vec![String::from("+")],
        };
        live.replace(Plan::new(vec![extension("1001"), extension("1002")], vec![trunk], NumberingPlan::default()));
        let caller = Identity::Trunk { trunk: TrunkName("in".into()) };
        live.look_up(&Query { tenant: Tenant::default_tenant(), caller, dialled: dialled.to_owned().into() })
    }

    #[test]
    fn every_device_of_an_extension_gets_a_leg_of_its_own() {
        let targets = look_up("1001").unwrap();
        assert_eq!(targets.len(), 2);
        assert_ne!(targets[0].leg, targets[1].leg);
        assert!(targets.iter().all(|it| matches!(&it.address, Address::Contact(_))));
    }

    #[test]
    fn an_extension_without_a_device_cannot_be_reached() {
        assert_eq!(look_up("1002"), Err(Cause::Unreachable));
    }

    #[test]
    fn an_open_page_rings_along_with_the_phones_and_alone() {
        let targets = look_up_with("1001", true).unwrap();
        assert_eq!(targets.iter().filter(|it| it.address.is_client()).count(), 1);
        assert_eq!(targets.len(), 3);
        let alone = look_up_with("1002", true).unwrap();
        assert_eq!(alone[0].address, Address::Client(UserId::from_uuid(Uuid::from_u128(1))));
    }

    #[test]
    fn a_number_beyond_a_trunk_is_dialled_there() {
        let targets = look_up("+4930123456").unwrap();
        let number = Number::from(String::from("+4930123456"));
        assert_eq!(
            targets[0].address,
            Address::Trunk { address: ([192, 0, 2, 7], 5060).into(), number, prefix: Some("+".into()) }
        );
    }

    #[test]
    fn what_nobody_has_is_unknown() {
        assert_eq!(look_up("nobody"), Err(Cause::UnknownNumber));
    }
}
