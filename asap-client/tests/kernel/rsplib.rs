//! rsplib's registrar (Debian: rsplib-registrar).

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use asap_client::client::ElementConfig;
use asap_client::{LifeUnit, Timers};

use crate::world::*;

struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn rspregistrar(world: &World) -> Program {
    let arguments = "-identifier=0x11111111 -loglevel=1 -logcolor=off -asap=10.9.0.1:3863 -enrp=10.9.0.1:9901 \
                     -asapannounce=off -enrpannounce=off -endpointkeepalivetransmissioninterval=300 \
                     -endpointkeepalivetimeoutinterval=1000";
    let child = Command::new("ip")
        .args(["netns", "exec", &world.registrars, "rspregistrar"])
        .args(arguments.split_whitespace())
        .stdout(Stdio::null())
        .spawn();
    Program(child.unwrap_or_else(|error| panic!("rspregistrar (apt install rsplib-registrar): {error}")))
}

#[test]
fn elements_live_at_rsplibs_registrar_through_keep_alives_and_moves() {
    let world = World::new(5);
    let _registrar = rspregistrar(&world);
    let one = world.arrive(1);
    run(async {
        let timers = Timers { life_unit: LifeUnit::Milliseconds, ..Timers::mobile() };
        let (client, mut events) = client_with(&[FIRST], timers);
        client.register(ElementConfig { life: Some(Duration::from_secs(6)), ..element(9) });
        client.set_local_addresses(vec![one]);
        assert_eq!(registered(&mut events).await, [one]);
        let at = async |addresses: &[std::net::IpAddr]| {
            let answer = client.resolve(pool("EchoPool"), Duration::ZERO).await.unwrap();
            assert_eq!(answer.elements.len(), 1, "{answer:?}");
            let element = &answer.elements[0];
            assert_eq!((element.id, element.user.addresses(), element.life), (9, addresses, 6_000));
        };
        at(&[one]).await;
        // Until it is renewed, several keep-alives have come; whoever does not answer them within a second is out.
        assert_eq!(registered(&mut events).await, [one]);
        at(&[one]).await;
        world.leave(1);
        let two = world.arrive(2);
        client.set_local_addresses(vec![two]);
        assert_eq!(registered(&mut events).await, [two]);
        at(&[two]).await;
        client.close(PATIENCE).await;
    });
}
