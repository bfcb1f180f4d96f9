//! Docker: whether it answers, what it and the kernel can do, the runner image, and whether tests are kept from this machine.

use super::{super::services, Finding, versions};
use crate::{
    config::Config,
    sandbox::{
        Limits, Network, ProbeSpec, Sandbox,
        docker::{DockerSandbox, Survey},
    },
};
use bisect_shared::{Epoch, InstanceId, JobId};
use std::{path::PathBuf, time::Duration};

pub(super) async fn look(config: &Config) -> Vec<Finding> {
    let sandbox = match services::docker_for_any(config) {
        Ok(sandbox) => sandbox,
        Err(refusal) => return vec![Finding::fail("Docker", refusal.message)],
    };
    let survey = match sandbox.survey().await {
        Ok(survey) => survey,
        Err(error) => return vec![Finding::fail("Docker", error.to_string())],
    };
    let mut findings = vec![versions::docker(&survey.version), versions::runc(&survey.runc), limits(&survey)];
    if let Some(runtime) = &config.runtime {
        findings.push(if survey.runtimes.contains(runtime) {
            Finding::ok("runtime", runtime.clone())
        } else {
            let known = survey.runtimes.join(", ");
            Finding::fail(
                "runtime",
                format!("RUNNER_RUNTIME is {runtime}, and Docker knows only {known}: /etc/docker/daemon.json"),
            )
        });
    }
    findings.push(image(&sandbox, config).await);
    if config.network == Network::Egress {
        findings.push(network(&sandbox, config).await);
    }
    findings
}

/// Without these a probe could take the whole machine.
fn limits(survey: &Survey) -> Finding {
    let missing: Vec<&str> = survey.missing();
    let version = survey.cgroup.as_deref().unwrap_or("unknown");
    if missing.is_empty() {
        return Finding::ok(
            "cgroups",
            format!("version {version}: memory, swap, processors and processes can be limited"),
        );
    }
    Finding::fail(
        "cgroups",
        format!(
            "version {version}: Docker cannot limit {}; boot with `systemd.unified_cgroup_hierarchy=1` or enable these controllers",
            missing.join(", ")
        ),
    )
}

fn spec(config: &Config, network: Network) -> ProbeSpec {
    ProbeSpec {
        job: JobId(0),
        epoch: Epoch(0),
        instance: InstanceId(format!("doctor-{}", std::process::id())),
        mirror: PathBuf::new(),
        image: config.runner_image.clone(),
        image_id: None,
        command: vec!["true".to_owned()],
        setup: None,
        env: Vec::new(),
        network,
        timeout: Duration::from_secs(60),
        silence: None,
        deadline: Duration::from_secs(60),
        limits: Limits::default(),
    }
}

async fn image(sandbox: &DockerSandbox, config: &Config) -> Finding {
    match sandbox.check(&spec(config, Network::None)).await {
        Ok(_) => Finding::ok("runner image", format!("{} is there", config.runner_image)),
        Err(error) => Finding::fail("runner image", error.to_string()),
    }
}

async fn network(sandbox: &DockerSandbox, config: &Config) -> Finding {
    match sandbox.check(&spec(config, Network::Egress)).await {
        Ok(_) => Finding::ok("network", "a test cannot reach this machine"),
        Err(error) => Finding::fail("network", error.to_string()),
    }
}
