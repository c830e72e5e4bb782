//! What the kernel offers, and its settings per namespace.

use std::os::fd::AsFd;

use rustix::process::Uid;
use sctp_sys::probe::{Probe, Sysctl, SysctlError, require_sctp};
use sctp_sys::{Family, Style, sockopt};

use crate::common::*;

#[test]
fn all_is_there_for_root() {
    in_namespace(|| {
        let probe = Probe::look();
        assert!(probe.sctp && probe.diag && probe.mobile());
        assert_eq!((probe.addip, probe.auth), (Some(true), Some(true)));
        assert_eq!((probe.addip_noauth, probe.default_auto_asconf), (Some(false), Some(false)));
        assert_eq!(probe.udp_port, Some(0));
        assert!(probe.may_adopt && probe.may_watch && probe.may_configure);
        require_sctp().unwrap();
    });
}

#[test]
fn a_setting_is_that_of_the_namespace_and_of_sockets_made_later() {
    in_namespace(|| {
        for on in [false, true] {
            Sysctl::AddipEnable.write(on.into()).unwrap();
            Sysctl::AuthEnable.write(on.into()).unwrap();
            assert_eq!(Probe::look().mobile(), on);
            let socket = socket(Style::OneToOne, Family::V4);
            assert_eq!(sockopt::asconf_supported(socket.as_fd(), 0).unwrap(), on);
            assert_eq!(sockopt::auth_supported(socket.as_fd(), 0).unwrap(), on);
            // Others are not touched.
            std::thread::scope(|scope| {
                let other = scope.spawn(|| {
                    enter_namespace();
                    Sysctl::AddipEnable.read().unwrap()
                });
                assert_eq!(other.join().unwrap(), 1);
            });
        }
    });
}

#[test]
fn a_value_out_of_range_is_told() {
    in_namespace(|| {
        let refused = Sysctl::AddrScopePolicy.write(9).unwrap_err();
        assert!(matches!(refused, SysctlError::OutOfRange { value: 9, .. }), "{refused:?}");
    });
}

#[test]
fn an_unprivileged_user_is_told_the_command_that_mends_it() {
    in_namespace(|| {
        // These calls change the calling thread alone, which is the test's own.
        let uid = Uid::from_raw(65_534);
        rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
        let refused = Sysctl::AddipEnable.write(1).unwrap_err();
        assert!(matches!(refused, SysctlError::NotPermitted { value: 1, .. }), "{refused:?}");
        assert!(refused.to_string().contains("sysctl -w net.sctp.addip_enable=1"));
        let probe = Probe::look();
        assert!(probe.sctp && probe.addip == Some(true));
        assert!(!probe.may_adopt && !probe.may_watch && !probe.may_configure);
    });
}
