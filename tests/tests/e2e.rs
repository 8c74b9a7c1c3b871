//! End to end: the binaries `control-api` and `sip-edge`, Kamailio, SIPp and baresip as agents' and
//! customers' phones, tones as their voices. One binary for all topics, so that tests which wait
//! for seconds run beside the others.

#[path = "e2e/baresip.rs"]
mod baresip;
#[path = "e2e/callbacks.rs"]
mod callbacks;
#[path = "e2e/confirmation.rs"]
mod confirmation;
#[path = "e2e/control.rs"]
mod control;
#[path = "e2e/crash.rs"]
mod crash;
#[path = "e2e/for_real.rs"]
mod for_real;
#[path = "e2e/limits.rs"]
mod limits;
#[path = "e2e/linphone.rs"]
mod linphone;
#[path = "e2e/matrix.rs"]
mod matrix;
#[path = "e2e/media.rs"]
mod media;
#[path = "e2e/one_port.rs"]
mod one_port;
#[path = "e2e/sandbox.rs"]
mod sandbox;
#[path = "e2e/softphone.rs"]
mod softphone;
#[path = "e2e/softphone_control.rs"]
mod softphone_control;
#[path = "e2e/trunks.rs"]
mod trunks;
