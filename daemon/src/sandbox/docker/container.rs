//! What a container may do: every limit of the sandbox is written here, and only here.

use super::{DockerConfig, engine::Engine, image::Image, labels::Labels};
use crate::sandbox::{Network, ProbeSpec};
use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountTmpfsOptions, MountType, MountVolumeOptions,
    ResourcesUlimits,
};
use std::{collections::HashMap, time::Duration};

/// In the checkout container, which knows the lanes' directories by their users.
const LANES: &str = "/bisect/lanes";
/// In test containers.
const WORK: &str = "/bisect/work";
const GIT_DIR: &str = "/bisect/work/.git";
const HOME: &str = "/bisect/home";
const MIRROR: &str = "/bisect/mirror";
const VENV_BIN: &str = "/bisect/home/venv/bin";
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// For `/dev/shm`: what Docker gives by default, and browsers in tests can live with.
const SHARED_MEMORY: i64 = 64 << 20;

/// One lane's part of the workshop's volume, and the user it belongs to.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) labels: Labels,
    /// The lane's directory, as a path of the engine's host.
    source: String,
    /// Of this lane alone: what the kernel counts by user (inotify watches, pipes, signals), and
    /// what a file's mode allows, is nobody else's.
    pub(super) uid: u32,
    /// What test containers have as `/etc/hosts`, where the engine gives them none.
    hosts: Option<String>,
}

impl Place {
    /// The lane of `uid` in the volume that the engine keeps at `mountpoint`.
    pub(super) fn new(labels: Labels, mountpoint: &str, uid: u32, hosts: Option<String>) -> Self {
        Self { labels, source: format!("{mountpoint}/{uid}"), uid, hosts }
    }

    /// In the old notation, for with it the engine makes a directory that is missing: so the first test container
    /// need not wait for the checkout container. What is above them belongs to root, so none is ever a link.
    fn binds(&self) -> Vec<String> {
        let source = &self.source;
        vec![format!("{source}/work:{WORK}"), format!("{source}/git:{GIT_DIR}:ro"), format!("{source}/home:{HOME}")]
    }
}

/// All commits of the job; nobody writes there.
fn mirror(spec: &ProbeSpec) -> Mount {
    Mount {
        typ: Some(MountType::BIND),
        source: Some(spec.mirror.to_string_lossy().into_owned()),
        target: Some(MIRROR.to_owned()),
        read_only: Some(true),
        ..Mount::default()
    }
}

/// The volume of all lanes. Should somebody have removed it meanwhile, it is made again, with these labels.
fn lanes(volume: &str, labels: &Labels) -> Mount {
    Mount {
        typ: Some(MountType::VOLUME),
        source: Some(volume.to_owned()),
        target: Some(LANES.to_owned()),
        volume_options: Some(MountVolumeOptions {
            // Else Docker would fill a fresh volume with what the image has at that path.
            no_copy: Some(true),
            labels: Some(labels.map()),
            ..MountVolumeOptions::default()
        }),
        ..Mount::default()
    }
}

/// What an image declares as its VOLUMEs would be a writable folder on the engine's disk, new for each container, that
/// nobody measures. So each is as `/tmp` is: empty, of its size, of memory, and gone with the container.
fn volumes(image: &Image, size: u64) -> impl Iterator<Item = Mount> {
    image.volumes.iter().map(move |path| Mount {
        typ: Some(MountType::TMPFS),
        target: Some(path.clone()),
        tmpfs_options: Some(MountTmpfsOptions {
            size_bytes: Some(signed(size)),
            mode: Some(0o1777),
            ..MountTmpfsOptions::default()
        }),
        ..Mount::default()
    })
}

/// A container that runs `script` with the image's `sh`, to see whether it has one.
pub(super) fn check(config: &DockerConfig, image: &Image, labels: &Labels, script: &str) -> ContainerCreateBody {
    let mut body = powerless(&image.id, labels, script, []);
    let host = body.host_config.get_or_insert_default();
    host.mounts = Some(volumes(image, 1 << 20).collect());
    host.runtime.clone_from(&config.runtime);
    body
}

/// A container that runs `script` with `sh`, attached, removed when it ends, with no right at all.
pub(super) fn powerless(
    image: &str,
    labels: &Labels,
    script: &str,
    args: impl IntoIterator<Item = String>,
) -> ContainerCreateBody {
    let mut cmd = vec!["-c".to_owned(), script.to_owned(), "bisectd".to_owned()];
    cmd.extend(args);
    ContainerCreateBody {
        image: Some(image.to_owned()),
        labels: Some(labels.map()),
        entrypoint: Some(vec!["sh".to_owned()]),
        cmd: Some(cmd),
        user: Some("65534:65534".to_owned()),
        working_dir: Some("/".to_owned()),
        // As the network `none`: a name space with `lo` and nothing else. But the engine has no part in it, and so need
        // not start itself once more for each container, which was half of what a container costs.
        network_disabled: Some(true),
        hostname: Some("bisect".to_owned()),
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        open_stdin: Some(true),
        // When the server dies its connection ends, so does this input, and so the container.
        stdin_once: Some(true),
        stop_timeout: Some(1),
        host_config: Some(HostConfig {
            auto_remove: Some(true),
            // Seven megabytes of `yes` a second must not go to a log file that nobody reads.
            log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
            network_mode: Some("none".to_owned()),
            readonly_rootfs: Some(true),
            cap_drop: Some(vec!["ALL".to_owned()]),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            ipc_mode: Some("private".to_owned()),
            shm_size: Some(SHARED_MEMORY),
            memory: Some(256 << 20),
            memory_swap: Some(256 << 20),
            pids_limit: Some(64),
            ulimits: Some(vec![ResourcesUlimits { name: Some("core".to_owned()), soft: Some(0), hard: Some(0) }]),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

/// A workshop's checkout container. Lanes of the runner image get their home from the very image that tests run in.
pub(super) fn checkout(
    config: &DockerConfig,
    spec: &ProbeSpec,
    labels: &Labels,
    volume: &str,
    image: Option<&Image>,
) -> ContainerCreateBody {
    let runner = image.filter(|image| image.is_runner);
    let home = if runner.is_some() { "archive" } else { "bare" };
    let runner = runner.map_or(&config.runner_image, |image| &image.id);
    let script = include_str!("checkout.sh");
    let mut body = powerless(runner, labels, script, [home.to_owned()]);
    body.user = Some("0:0".to_owned());
    body.env = Some(
        [
            "GIT_CONFIG_NOSYSTEM=1",
            "GIT_CONFIG_GLOBAL=/dev/null",
            "GIT_ATTR_NOSYSTEM=1",
            "GIT_TERMINAL_PROMPT=0",
            "GIT_NO_REPLACE_OBJECTS=1",
            "GIT_CONFIG_COUNT=6",
            "GIT_CONFIG_KEY_0=core.hooksPath",
            "GIT_CONFIG_VALUE_0=/dev/null",
            "GIT_CONFIG_KEY_1=core.fsmonitor",
            "GIT_CONFIG_VALUE_1=false",
            "GIT_CONFIG_KEY_2=core.untrackedCache",
            "GIT_CONFIG_VALUE_2=false",
            "GIT_CONFIG_KEY_3=submodule.recurse",
            "GIT_CONFIG_VALUE_3=false",
            "GIT_CONFIG_KEY_4=gc.auto",
            "GIT_CONFIG_VALUE_4=0",
            "GIT_CONFIG_KEY_5=core.excludesFile",
            "GIT_CONFIG_VALUE_5=/dev/null",
            "HOME=/nonexistent",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL=C.UTF-8",
        ]
        .map(str::to_owned)
        .to_vec(),
    );
    let host = body.host_config.get_or_insert_default();
    host.mounts = Some(vec![lanes(volume, labels), mirror(spec)]);
    // The script makes it root's alone: a mode given here would yield to the one in the image.
    host.tmpfs = Some(HashMap::from([("/tmp".to_owned(), "size=16m".to_owned())]));
    // To give fresh directories to the lane's user, to become that user, and to measure and empty what
    // that user made unreadable. No tested code ever holds them.
    host.cap_add = Some(["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID", "SETPCAP"].map(str::to_owned).to_vec());
    // What one checkout may take, and as much again for those of other lanes at the same moment: they last
    // milliseconds, and what they read of the mirror is in memory once for all. The kernel chooses a git, whose
    // lane then gets an error, and not this container.
    let memory = signed(spec.limits.memory.max(512 << 20).saturating_mul(2));
    host.memory = Some(memory);
    host.memory_swap = Some(memory);
    // A checkout is some ten processes and at most twenty threads of git: enough for thirty at once.
    host.pids_limit = Some(1024);
    body
}

/// The container of one probe.
pub(super) fn test(
    engine: &Engine,
    spec: &ProbeSpec,
    image: &Image,
    place: &Place,
    deadline: Duration,
) -> ContainerCreateBody {
    let home = if image.is_runner { "made" } else { "venv" };
    let args = [
        // For a dead server's containers only: while it lives, it is first to end a job in time.
        (deadline.as_secs() + 1).to_string(),
        home.to_owned(),
        spec.setup.clone().unwrap_or_default(),
        image.volumes.join("\n"),
    ];
    let variables = environment(spec, image);
    let count = variables.len().to_string();
    let args = args.into_iter().chain([count]).chain(variables).chain(spec.command.iter().cloned());
    let script = include_str!("test.sh");
    let mut body = powerless(&image.id, &place.labels, script, args);
    body.user = Some(format!("{0}:{0}", place.uid));
    body.working_dir = Some(WORK.to_owned());
    // Of process 1, which is there while another commit is tested: nothing that a test may choose.
    body.env = Some(vec![format!("PATH={}", out_of_reach(image.path.as_deref().unwrap_or_default()))]);
    let host = body.host_config.get_or_insert_default();
    host.binds = Some(place.binds());
    let hosts = place.hosts.clone();
    let hosts = hosts.map(|file| Mount { source: Some(file), target: Some("/etc/hosts".to_owned()), ..mirror(spec) });
    let mounts = std::iter::once(mirror(spec)).chain(hosts).chain(volumes(image, spec.limits.tmp));
    host.mounts = Some(mounts.collect());
    host.tmpfs =
        Some(HashMap::from([("/tmp".to_owned(), format!("rw,exec,nosuid,nodev,mode=1777,size={}", spec.limits.tmp))]));
    host.memory = Some(signed(spec.limits.memory));
    host.memory_swap = host.memory;
    #[expect(clippy::cast_possible_truncation, reason = "a few processors")]
    {
        host.nano_cpus = Some((spec.limits.cpus.min(engine.processors) * 1e9) as i64);
    }
    host.pids_limit = Some(i64::from(spec.limits.pids));
    host.runtime.clone_from(&engine.config.runtime);
    if spec.network == Network::Egress {
        join(&mut body, &engine.config.egress_network);
    }
    body
}

/// Puts a container into a network of the engine.
pub(super) fn join(body: &mut ContainerCreateBody, network: &str) {
    body.network_disabled = None;
    body.host_config.get_or_insert_default().network_mode = Some(network.to_owned());
}

/// The folders of `path` in which no tested code can write: on a read-only root, those outside its mounts.
fn out_of_reach(path: &str) -> String {
    let below = |folder: &str, top: &str| folder == top || folder.starts_with(&format!("{top}/"));
    // `..` and doubled slashes could name anything.
    let plain = |folder: &str| folder.starts_with('/') && !folder.contains("//") && !folder.contains("/.");
    let writable = ["/bisect", "/tmp", "/dev", "/proc"];
    let safe: Vec<&str> =
        path.split(':').filter(|it| plain(it) && !writable.iter().any(|top| below(it, top))).collect();
    if safe.is_empty() { DEFAULT_PATH.to_owned() } else { safe.join(":") }
}

/// The command's: what the image says, with our home in front; the job's own settings win.
fn environment(spec: &ProbeSpec, image: &Image) -> Vec<String> {
    let path = image.path.as_deref().unwrap_or(DEFAULT_PATH);
    let ours = [
        ("CI", "true".to_owned()),
        ("HOME", HOME.to_owned()),
        ("LANG", "C.UTF-8".to_owned()),
        ("LOGNAME", "runner".to_owned()),
        ("PATH", format!("{VENV_BIN}:{path}")),
        ("USER", "runner".to_owned()),
    ];
    let mut variables: Vec<String> = ours
        .iter()
        .filter(|(name, _)| !spec.env.iter().any(|(own, _)| own == name))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    variables.extend(spec.env.iter().map(|(name, value)| format!("{name}={value}")));
    variables
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_1_looks_for_programs_only_where_no_test_can_write() {
        let safe = "/opt/python/bin:/usr/bin:/bin";
        assert_eq!(out_of_reach(safe), safe);
        let reachable = "/bisect/home/venv/bin:/tmp:/tmp/x::.:bin:/dev/shm:/usr/../tmp://tmp/x:/./tmp";
        assert_eq!(out_of_reach(&format!("{reachable}:/usr/bin")), "/usr/bin");
        assert_eq!(out_of_reach(reachable), DEFAULT_PATH);
        assert_eq!(out_of_reach(""), DEFAULT_PATH);
        assert_eq!(out_of_reach("/tmpfs/bin:/bisected"), "/tmpfs/bin:/bisected");
    }
}
