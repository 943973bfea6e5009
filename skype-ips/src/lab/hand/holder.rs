//! The process that holds a lab's namespaces: they live as long as it does.
//!
//! `lab up` starts it, hands it the plan, and waits until it says that everything stands. Until
//! then the kernel ends it with `lab up`; from then on it waits for `lab down`.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::super::netns::Netns;
use super::super::signals::{self, interrupted};
use super::super::unprivileged::in_new_user_namespace;
use super::super::{LabError, catch_signals};
use super::build::build;
use super::plan::Plan;
use super::state::{Namespace, State, Which};

/// How long a holder may take to end.
const END_LIMIT: Duration = Duration::from_secs(10);

/// What starts a holder.
#[derive(Clone, Debug)]
pub struct Holder {
    /// The `skype-ips` program.
    pub program: PathBuf,
    /// Arguments that lead to [`hold`], but for the last one.
    pub arguments: Vec<OsString>,
}

/// Starts a holder and waits until the lab is up.
pub(super) fn start(holder: &Holder, plan: &Plan) -> Result<State, LabError> {
    let failed = |error| LabError::failed("starting the process that holds the lab", error);
    let mut command = match Netns::new().map_err(LabError::namespace) {
        Ok(_) => Command::new(&holder.program),
        Err(LabError::Unprivileged(_)) => in_new_user_namespace(&holder.program)?,
        Err(error) => return Err(error),
    };
    command
        .args(&holder.arguments)
        .arg(std::process::id().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .current_dir("/");
    // SAFETY: between fork and exec only setsid is called, which is async-signal-safe.
    unsafe {
        command.pre_exec(|| match libc::setsid() {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        })
    };
    let mut child = Starting(command.spawn().map_err(failed)?);
    let mut stdin = child.0.stdin.take().expect("it was piped");
    let bytes = serde_json::to_vec(plan).map_err(|error| failed(error.into()))?;
    // It may have ended by now; then it says why.
    let _ = stdin.write_all(&bytes);
    drop(stdin);
    // Both end when the lab is up, for the holder lets go of them.
    let answer = read_unless_interrupted(child.0.stdout.take().expect("it was piped"))?;
    let complaint = read_unless_interrupted(child.0.stderr.take().expect("it was piped"))?;
    match serde_json::from_slice(&answer) {
        Ok(state) => {
            std::mem::forget(child);
            Ok(state)
        }
        Err(_) => Err(LabError::Holder {
            status: child.0.wait().map_err(failed)?.code(),
            message: String::from_utf8_lossy(&complaint).trim().to_owned(),
        }),
    }
}

/// A holder that isn't ready: dropping it ends it, and waits until it has cleared up.
struct Starting(Child);

impl Drop for Starting {
    fn drop(&mut self) {
        // SAFETY: the child has not been waited for, so the number is still its.
        unsafe { libc::kill(self.0.id() as libc::pid_t, libc::SIGTERM) };
        let deadline = Instant::now() + END_LIMIT;
        while let Ok(None) = self.0.try_wait() {
            if Instant::now() > deadline {
                // Fails only for a process that has ended.
                let _ = self.0.kill();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn read_unless_interrupted(mut stream: impl io::Read) -> Result<Vec<u8>, LabError> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 8192];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(bytes),
            Ok(len) => bytes.extend_from_slice(&buffer[..len]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(LabError::failed("waiting for the lab", error)),
        }
        if interrupted() {
            return Err(LabError::Interrupted);
        }
    }
}

/// What the holder does: builds the plan that comes on standard input, answers with the
/// [`State`] on standard output, and waits for SIGTERM. `parent` is the process that started it.
///
/// # Errors
/// See [`LabError`]; whatever was set up is gone by then.
pub fn hold(which: &Which, parent: u32) -> Result<(), LabError> {
    let failed = |error| LabError::failed("preparing the process that holds the lab", error);
    catch_signals().map_err(failed)?;
    end_with_parent(Some(parent)).map_err(failed)?;
    raise_descriptor_limit().map_err(failed)?;
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes).map_err(failed)?;
    let plan: Plan = serde_json::from_slice(&bytes).map_err(|error| failed(error.into()))?;
    let folder = which.take()?;
    let mut state = State {
        instance: which.instance.clone(),
        holder: std::process::id(),
        user_namespace: super::super::in_user_namespace(),
        links: None,
        plan,
        namespaces: Vec::new(),
    };
    // At once, so that `lab down` finds what to end.
    folder.write(&state)?;
    let plan = &state.plan;
    let built = build(plan)?;
    let mut namespaces = Vec::new();
    for name in plan.namespaces() {
        let netns = &built.namespaces[&name];
        namespaces.push(Namespace {
            path: netns.path(),
            inode: netns.inode().map_err(failed)?,
            name,
        });
    }
    state.namespaces = namespaces;
    state.links = Some(built.shaping);
    folder.write(&state)?;
    // From here on the lab stays, whatever becomes of who asked for it.
    end_with_parent(None).map_err(failed)?;
    if interrupted() {
        return Err(LabError::Interrupted);
    }
    let answer = serde_json::to_vec(&state).map_err(|error| failed(error.into()))?;
    io::stdout().write_all(&answer).map_err(failed)?;
    io::stdout().flush().map_err(failed)?;
    let null = File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .map_err(failed)?;
    for standard in 0..3 {
        // SAFETY: plain numbers of descriptors that are open.
        if unsafe { libc::dup2(null.as_raw_fd(), standard) } < 0 {
            return Err(failed(io::Error::last_os_error()));
        }
    }
    signals::wait().map_err(failed)
}

/// Has the kernel send SIGTERM when the process that started this one ends; `None`: no more.
fn end_with_parent(parent: Option<u32>) -> io::Result<()> {
    let signal = if parent.is_some() { libc::SIGTERM } else { 0 };
    // SAFETY: plain numbers.
    let (set, current) = unsafe { (libc::prctl(libc::PR_SET_PDEATHSIG, signal), libc::getppid()) };
    if set != 0 {
        return Err(io::Error::last_os_error());
    }
    match parent {
        // It ended before the request: no signal will come.
        Some(parent) if parent as libc::pid_t != current => {
            Err(io::Error::from(io::ErrorKind::BrokenPipe))
        }
        _ => Ok(()),
    }
}

/// A descriptor for each namespace may be more than processes begin with.
fn raise_descriptor_limit() -> io::Result<()> {
    // SAFETY: all of its fields may be zero, and the pointers live through the calls.
    let done = unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) != 0 {
            return Err(io::Error::last_os_error());
        }
        limit.rlim_cur = limit.rlim_max;
        libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit)
    };
    match done {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
