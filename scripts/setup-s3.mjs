// Gets what the tests of the S3 source need and npm cannot give: two servers that have nothing in common, ministack
// and Ceph's radosgw (Debian's package).
import { spawnSync } from "node:child_process";
import { debianAsRoot } from "./setup-ministack.mjs";

const hasRadosgw = () => spawnSync("radosgw", ["--version"], { stdio: "ignore" }).status === 0;

if (!hasRadosgw()) {
  console.log("Tests need radosgw.");
  debianAsRoot("radosgw", "ceph-mon", "ceph-osd", "ceph-common");
}
if (!hasRadosgw())
  console.error(
    "Without radosgw its tests will fail. Debian, Ubuntu:  sudo apt-get install radosgw ceph-mon ceph-osd ceph-common",
  );
