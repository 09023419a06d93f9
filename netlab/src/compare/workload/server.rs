//! The pod's side: threads that serve until the client is done, and no longer.

use std::{
    net::{TcpListener, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use super::is_pause;

/// Set when dropped, so also when the client panics: nobody waits for its server then.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs a client beside a server, which is told when the client is done.
pub(super) fn beside<T>(server: impl FnOnce(&AtomicBool) + Send, client: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let ending = Done(&done);
        scope.spawn(|| server(&done));
        let outcome = client();
        drop(ending);
        outcome
    })
}

/// Accepts connections and serves them one after the other. One that breaks is the client's to
/// complain about.
pub(super) fn accept(listener: &TcpListener, done: &AtomicBool, serve: impl Fn(TcpStream)) {
    while !done.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((stream, _)) => serve(stream),
            Err(error) if is_pause(&error) => {}
            Err(error) => {
                log::debug!("cannot accept: {error}");
                return;
            }
        }
    }
}
