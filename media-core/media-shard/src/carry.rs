//! Carries out what the relay asks: on its sockets and in its recordings' files.

use crate::engine::Engine;
use crate::recorder::Recorder;
use media_core::relay::{Output, Relay, SocketId};
use std::net::SocketAddr;

/// Drains the relay's outputs; `sent` sees each packet with its socket and where it goes. Returns
/// whether there were any.
pub fn carry_out(
    relay: &mut Relay,
    engine: &mut Engine,
    recorder: &mut Recorder,
    mut sent: impl FnMut(SocketId, SocketAddr, &[u8]),
) -> bool {
    let mut had_output = false;
    while let Some(output) = relay.poll_output() {
        had_output = true;
        match output {
            Output::Open { socket } => engine.open_socket(socket),
            Output::Transmit { socket, remote, bytes } => {
                sent(socket, remote, bytes);
                engine.send(socket, remote, bytes);
            }
            Output::Connect { socket, remote } => engine.connect(socket, remote),
            Output::Disconnect { socket } => engine.disconnect(socket),
            Output::Release { socket } => engine.release(socket),
            Output::Record { recording, offset, bytes } => recorder.write(recording, offset, bytes),
            Output::Finish { recording, len, duration } => {
                recorder.finish(recording, len, duration)
            }
        }
    }
    had_output
}
