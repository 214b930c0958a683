//! The container of a cgroup, according to the path that container managers give it.
//!
//! Owns their naming rules. Does no I/O.

/// What managers put before the id in the name of a container's own cgroup. systemd's driver adds `.scope`. Monitors
/// have names of their own (`libpod-conmon-ID`), which are no container's.
const BEFORE_ID: [&str; 5] = ["docker-", "libpod-", "cri-containerd-", "crio-", "nerdctl-"];

/// Id or name of the innermost container that a cgroup path identifies, as written in the path; `None` if there is none.
pub fn container_id(path: &str) -> Option<&str> {
    let components: Vec<&str> = path.split('/').collect();
    let mut above = components.as_slice();
    while let Some((name, rest)) = above.split_last() {
        if let Some(found) = of_component(name, rest) {
            return Some(found);
        }
        above = rest;
    }
    None
}

/// `above` are the components in front of it.
fn of_component<'a>(name: &'a str, above: &[&str]) -> Option<&'a str> {
    by_prefix(name)
        .or_else(|| by_place(name, above))
        .or_else(|| name.strip_prefix("lxc.payload.").filter(|rest| !rest.is_empty()))
        .or_else(|| nspawn(name, above))
}

/// `docker-ID.scope` and its like.
fn by_prefix(name: &str) -> Option<&str> {
    let rest = BEFORE_ID.iter().find_map(|prefix| name.strip_prefix(prefix))?;
    Some(rest.strip_suffix(".scope").unwrap_or(rest)).filter(|id| is_id(id))
}

/// `docker/ID`, `kubepods/.../ID`, `lxc/NAME`, `lxc.payload/NAME`.
fn by_place<'a>(name: &'a str, above: &[&str]) -> Option<&'a str> {
    let in_kubepods = || above.iter().any(|c| *c == "kubepods" || *c == "kubepods.slice");
    match above.last() {
        Some(&("lxc" | "lxc.payload")) => Some(name).filter(|name| !name.is_empty()),
        Some(&"docker") => Some(name).filter(|name| is_id(name)),
        _ => Some(name).filter(|name| is_id(name) && in_kubepods()),
    }
}

/// `machine.slice/machine-NAME.scope`, or the unit of machinectl(1). Virtual machines are registered there, too.
fn nspawn<'a>(name: &'a str, above: &[&str]) -> Option<&'a str> {
    let scope = || name.strip_prefix("machine-")?.strip_suffix(".scope").filter(|name| !name.starts_with("qemu"));
    let service = || name.strip_prefix("systemd-nspawn@")?.strip_suffix(".service");
    scope().or_else(service).filter(|name| above.last() == Some(&"machine.slice") && !name.is_empty())
}

/// A full id: a SHA-256 in lower-case hexadecimal.
fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn every_manager_is_known() {
        for path in [
            "/system.slice/docker-ID.scope",
            "/docker/ID",
            "/docker/ID/init.scope",
            "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope/container",
            "/machine.slice/libpod-ID.scope",
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice/cri-containerd-ID.scope",
            "/kubepods.slice/kubepods-pod1.slice/crio-ID.scope",
            "/kubepods/burstable/pod0b7b-11/ID",
            "/kubepods/besteffort/pod1/crio-ID",
            "/system.slice/nerdctl-ID.scope",
        ] {
            assert_eq!(container_id(&path.replace("ID", ID)), Some(ID), "{path}");
        }
        for (path, name) in [
            ("/lxc/web", "web"),
            ("/lxc/web/system.slice/nginx.service", "web"),
            ("/lxc.payload.web/init.scope", "web"),
            ("/lxc.payload/web", "web"),
            ("/machine.slice/machine-debian.scope", "debian"),
            ("/machine.slice/machine-my\\\\x2dbox.scope/payload", "my\\\\x2dbox"),
            ("/machine.slice/systemd-nspawn@web.service/payload/init.scope", "web"),
        ] {
            assert_eq!(container_id(path), Some(name), "{path}");
        }
    }

    #[test]
    fn the_innermost_container_counts() {
        let inner = ID.replace('0', "f");
        let path = format!("/docker/{ID}/kubepods/pod1/{inner}");
        assert_eq!(container_id(&path), Some(inner.as_str()));
        assert_eq!(container_id(&format!("/lxc/host/docker/{ID}")), Some(ID));
    }

    #[test]
    fn what_only_looks_like_a_container_is_none() {
        for path in [
            "",
            "/",
            "/system.slice/docker.service",
            "/system.slice/docker-ID.scopes",
            "/system.slice/docker-IDa.scope",
            "/machine.slice/libpod-conmon-ID.scope",
            "/docker/buildkit",
            "/lxc",
            "/lxc/",
            "/lxc.payload.",
            "/lxc.monitor.web",
            "/machine.slice/machine-qemu\\\\x2d1\\\\x2dvm.scope",
            "/machine.slice/machine-.scope",
            "/other.slice/machine-x.scope",
            "/user.slice/ID",
            "/ID/kubepods/pod1",
            "/kubepods/burstable/pod0b7b-11",
            "id:4711",
        ] {
            assert_eq!(container_id(&path.replace("ID", ID)), None, "{path}");
        }
        assert_eq!(container_id(&format!("/docker/{}", ID.to_uppercase())), None);
    }
}
