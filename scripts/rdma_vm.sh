#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Runs a command where there is an RDMA stack: in one or two small virtual machines that boot
# Debian's kernel and see this machine's files, with soft-RoCE devices. QEMU emulates the processor:
# that needs no /dev/kvm and no root, and runs the same on every machine.
#
#   scripts/rdma_vm.sh run     [-c CPUS] [-m MIB] [-t SECONDS] -- COMMAND [ARGUMENT ...]
#   scripts/rdma_vm.sh cluster [-c CPUS] [-m MIB] [-t SECONDS] -- COMMAND [ARGUMENT ...]
#
# run      one guest with the device rxe0. In one guest all ranks use one device: soft-RoCE sends
#          local addresses through lo, where no other device listens.
# cluster  two guests joined by a private link, node0 (10.9.0.1) and node1 (10.9.0.2), with rxe0 and
#          sshd on each. The command runs on node0, and
#            mpirun --hostfile $LLEP_VM_HOSTFILE -np 4 PROGRAM
#          starts ranks on both in turn.
#
# The command runs as root in the folder this was called from, with 2 cpus (cluster: 1 each), 3072
# MiB and 600 s unless told otherwise. Its exit code is the script's. What it writes goes to the
# guest's memory and is lost; it reads this machine's files as they were when it first looked.
# A guest is about 20 times slower than this machine.
#
# Exit codes of its own: 77 this machine cannot do it (the reason is printed), 124 the command did
# not end in time, 2 usage. Kernel and initial file system are kept in ~/.cache/llep-rdma-vm.
set -euo pipefail

usage() { sed -n '/^# Runs/,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2; }
skip() { echo "rdma_vm.sh: cannot run here: $*" >&2; exit 77; }

cpus='' mem=3072 limit=600
case ${1:-} in
  run) guests=1 ;;
  cluster) guests=2 ;;
  *) usage ;;
esac
shift
while getopts c:m:t: option; do
  case $option in c) cpus=$OPTARG ;; m) mem=$OPTARG ;; t) limit=$OPTARG ;; *) usage ;; esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || usage
cpus=${cpus:-$((3 - guests))}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/llep-rdma-vm

# needs PROGRAM PACKAGE
needs() {
  command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ] || skip "$1 is missing: apt-get install $2"
}

check_programs() {
  needs qemu-system-x86_64 qemu-system-x86
  needs busybox busybox-static
  needs cpio cpio
  needs modprobe kmod
  needs rdma iproute2
  [ "$guests" -eq 1 ] || { needs sshd openssh-server; needs ssh openssh-client; }
}

# Debian's kernel and its modules, unpacked in the cache.
get_kernel() {
  local package new
  if [ ! -d "$cache/kernel" ]; then
    package=$(apt-cache depends linux-image-amd64 2>/dev/null | awk '/Depends:/ {print $2}') ||
      package=
    [ -n "$package" ] || skip "apt knows no package linux-image-amd64 (Debian's; apt-get update)"
    mkdir -p "$cache"
    new=$(mktemp -d -p "$cache")
    (cd "$new" && apt-get download "$package" >/dev/null 2>&1 && dpkg -x ./*.deb kernel) ||
      { rm -rf "$new"; skip "apt-get download $package failed (apt-get update?)"; }
    depmod -b "$new/kernel" "$(basename "$new"/kernel/lib/modules/*)"
    mv -T "$new/kernel" "$cache/kernel" 2>/dev/null || true  # another run was faster
    rm -rf "$new"
  fi
  version=$(basename "$cache"/kernel/lib/modules/*)
}

# The first program of a guest: this machine's files below a layer in memory, then /mnt/guest.sh.
write_init() {
  cat <<'INIT'
#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc; $b mount -t sysfs sys /sys; $b mount -t devtmpfs dev /dev
for m in $($b cat /modules/order); do $b insmod /modules/$m || echo "insmod $m failed"; done
p9=trans=virtio,version=9p2000.L,msize=512000
$b mount -t 9p -o $p9,cache=loose files /files
$b mount -t tmpfs layer /layer; $b mkdir /layer/upper /layer/work /layer/root
$b mount -t overlay -o lowerdir=/files,upperdir=/layer/upper,workdir=/layer/work overlay /layer/root
for d in proc sys dev; do $b mount --move /$d /layer/root/$d; done
cd /layer/root; $b mkdir -p dev/shm dev/pts
$b mount -t tmpfs tmpfs dev/shm; $b mount -t devpts devpts dev/pts; $b mount -t tmpfs tmpfs run
$b mount -t 9p -o $p9,cache=none job mnt
$b chroot . /bin/bash /mnt/guest.sh
$b sync; $b poweroff -f
INIT
}

# The initial file system: busybox, and the modules in the order in which they load. Without
# crc32_generic soft-RoCE devices cannot be added, and nothing says why.
build_initrd() {
  local root module
  initrd=$cache/initrd-$version-$(cksum <"$0" | cut -d' ' -f1)
  [ ! -f "$initrd" ] || return 0
  root=$(mktemp -d -p "$cache")
  mkdir -p "$root"/{bin,modules,files,layer,proc,sys,dev}
  cp "$(command -v busybox)" "$root/bin/"
  for module in virtio_pci virtio_net 9pnet_virtio 9p overlay crc32_generic crc32c_generic veth \
                rdma_rxe ib_uverbs rdma_ucm; do
    modprobe -d "$cache/kernel" -S "$version" --show-depends "$module" || true
  done | awk '/^insmod/ && !seen[$2]++ {print $2}' | while read -r module; do
    cp "$module" "$root/modules/"
    basename "$module"
  done >"$root/modules/order"
  write_init >"$root/init"
  chmod +x "$root/init"
  rm -f "$cache"/initrd-*
  (cd "$root" && find . | cpio -o -H newc 2>/dev/null | gzip -1) >"$root.gz"
  mv "$root.gz" "$initrd"
  rm -rf "$root"
}

# What every guest does first. GID index 1 of rxe0 becomes the RoCEv2 one of the IPv4 address.
guest_start() {
  cat <<GUEST
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
hostname node$1; ulimit -l unlimited; ip link set lo up
nic=\$(ls /sys/class/net | grep -v '^lo$' | head -n 1)
if [ -z "\$nic" ]; then
  ip link add veth0 type veth peer name veth1; ip link set veth1 up; nic=veth0
fi
ip link set "\$nic" up mtu 4500; ip addr add 10.9.0.$(($1 + 1))/24 dev "\$nic"
rdma link add rxe0 type rxe netdev "\$nic"
GUEST
}

# Guests of a cluster reach each other by name and by ssh.
guest_cluster() {
  # What this user cannot see, guests cannot see either.
  [ -w /root ] || echo 'mount -t tmpfs tmpfs /root'
  cat <<'GUEST'
printf '10.9.0.1 node0\n10.9.0.2 node1\n' >>/etc/hosts
rm -f /etc/shadow; echo 'root:*:1::::::' >/etc/shadow  # sshd refuses an account that is locked
mkdir -p /root/.ssh /run/sshd
cp /mnt/key.pub /root/.ssh/authorized_keys; cp /mnt/key /root/.ssh/id_ed25519
printf '%s\n' 'Host node*' 'StrictHostKeyChecking no' 'BatchMode yes' 'LogLevel ERROR' \
  >/root/.ssh/config
chown -R root:root /root/.ssh; chmod 700 /root /root/.ssh; chmod 600 /root/.ssh/*
echo 'ulimit -l unlimited' >>/root/.bashrc
/usr/sbin/sshd -f /dev/null -h /root/.ssh/id_ed25519 -o StrictModes=no -o PermitRootLogin=yes
GUEST
}

# node0 of a cluster waits for the other one.
guest_hosts() {
  cat <<'GUEST'
printf 'node0 slots=64\nnode1 slots=64\n' >/tmp/hostfile; export LLEP_VM_HOSTFILE=/tmp/hostfile
export OMPI_MCA_btl=self,vader,tcp OMPI_MCA_rmaps_base_mapping_policy=node
export OMPI_MCA_btl_tcp_if_include=10.9.0.0/24 OMPI_MCA_oob_tcp_if_include=10.9.0.0/24
for i in $(seq 60); do ssh -o ConnectTimeout=2 node1 true 2>/dev/null && break; sleep 1; done
GUEST
}

write_guest() {  # INDEX COMMAND...
  local index=$1
  shift
  guest_start "$index"
  if [ "$guests" -eq 2 ]; then guest_cluster; fi
  if [ "$index" -eq 1 ]; then echo 'until [ -f /mnt/stop ]; do sleep 1; done'; return; fi
  if [ "$guests" -eq 2 ]; then guest_hosts; fi
  printf 'cd %q\n' "$PWD"
  printf '%q ' "$@"
  echo '</dev/null >/mnt/out 2>&1; echo $? >/mnt/code'
}

boot() {  # INDEX NETWORK-ARGUMENT...
  local index=$1
  shift
  exec timeout "$limit" qemu-system-x86_64 -M q35 -accel tcg -cpu max -smp "$cpus" -m "$mem" \
    -display none -serial "file:$work/console$index" -no-reboot "$@" \
    -kernel "$cache/kernel/boot/vmlinuz-$version" -initrd "$initrd" \
    -append "console=ttyS0 quiet panic=-1" \
    -virtfs local,path=/,mount_tag=files,security_model=none,readonly=on,multidevs=remap \
    -virtfs "local,path=$work/$index,mount_tag=job,security_model=none" 2>"$work/errors$index"
}

link() {  # HOW INDEX: arguments of this end of the private link
  echo "-netdev socket,id=link,$1 -device virtio-net-pci,netdev=link,mac=52:54:00:00:00:0$2"
}

check_programs
get_kernel
build_initrd
work=$(mktemp -d)
pids=()
# shellcheck disable=SC2317  # called by the trap
clean_up() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait
  rm -rf "$work"
}
trap clean_up EXIT

for ((i = 0; i < guests; i++)); do
  mkdir "$work/$i"
  write_guest "$i" "$@" >"$work/$i/guest.sh"
done
if [ "$guests" -eq 1 ]; then
  boot 0 -nic none & pids=($!)
else
  ssh-keygen -q -t ed25519 -N '' -f "$work/0/key"
  cp "$work"/0/key* "$work/1/"
  port=$((20000 + RANDOM % 12000))
  # shellcheck disable=SC2046  # a list of words
  boot 1 $(link "listen=127.0.0.1:$port" 1) & pids=($!)
  sleep 1
  # shellcheck disable=SC2046
  boot 0 $(link "connect=127.0.0.1:$port" 0) & pids+=($!)
fi
wait "${pids[-1]}" || true
touch "$work"/1/stop 2>/dev/null || true
cat "$work/0/out" 2>/dev/null || true
if [ ! -f "$work/0/code" ]; then
  echo "rdma_vm.sh: the command did not end within $limit s; console and QEMU end:" >&2
  tail -q -n 5 "$work/console0" "$work"/errors? >&2 || true
  exit 124
fi
exit "$(cat "$work/0/code")"
