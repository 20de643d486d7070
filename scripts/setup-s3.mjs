// Gets what the tests of the S3 source need and npm cannot give, see below.
import { spawnSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
const runs = (command, ...args) => spawnSync(command, args, { stdio: "ignore", env }).status === 0;

// The S3 source is tested against two servers that have nothing in common: ministack (S3, SQS and the
// notifications between them; from PyPI into a folder of its own) and Ceph's radosgw (Debian's package).
const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "sluice-tests");
const ministack = join(cache, "ministack-1.5.33");
const hasMinistack = () => existsSync(join(ministack, "installed"));
const isRoot = process.getuid?.() === 0 && runs("apt-get", "--version");

if (!hasMinistack()) {
  console.log("Tests need ministack: installing it with pip …");
  const isNew = "import sys; sys.exit(sys.version_info < (3, 10))";
  const python = ["python3", "python3.13", "python3.12", "python3.11", "python3.10"].find((name) =>
    runs(name, "-c", isNew),
  );
  const makeVenv = () => python !== undefined && runs(python, "-m", "venv", "--clear", ministack);
  const hasVenv = makeVenv() || (isRoot && debian("python3-venv") && makeVenv());
  if (hasVenv && runs(join(ministack, "bin/pip"), "install", "-q", "ministack==1.5.33"))
    writeFileSync(join(ministack, "installed"), "");
  else {
    console.error(
      `Tests need ministack 1.5.33, and it could not be installed into ${ministack}: it takes Python 3.10 or newer with venv, and access to PyPI.`,
    );
    process.exit(3);
  }
}

if (!runs("radosgw", "--version") && isRoot) {
  console.log("Tests need radosgw: installing it with apt-get …");
  debian("radosgw", "ceph-mon", "ceph-osd", "ceph-common");
}
if (!runs("radosgw", "--version"))
  console.error(
    "Without radosgw its tests will fail. Debian, Ubuntu:  sudo apt-get install radosgw ceph-mon ceph-osd ceph-common",
  );

function debian(...packages) {
  const install = () =>
    runs("apt-get", "install", "-y", "-q", "--no-install-recommends", ...packages);
  return install() || (runs("apt-get", "update", "-q") && install());
}
