/**
 * What runs in the new mount and PID namespace before the confined command, as /bin/sh with the capability to mount.
 * Its arguments: `home <folder>`, `sealed yes|no`, `write <folder>`…, `mask <folder>`…, `mute <socket>`…, `alone begin`, `keep <path>`…,
 * `alone read-only|writable`, `--`, and the command that drops the capabilities.
 *
 * 1. `mask`: an empty, unreadable tmpfs covers the folder.
 * 2. `sealed yes` is for a process that stays the same uid as the connector, which for root would be reason enough to own the machine
 *    even without capabilities: everything becomes read-only, /proc and /sys (core_pattern, release_agent) included; /dev is a new one
 *    with six harmless nodes (no disks); /run is empty, so that no daemon's socket is at hand.
 * 3. `mute`: a socket that exists becomes /dev/null, since to connect to one needs neither a writable mount nor a network.
 * 4. `alone`: an empty tmpfs covers the folder in which the home lies, with nothing of before but the home and what is kept. Descriptor 8 is
 *    the way to what lies below the cover; the command does not get it.
 * 5. Whatever fails ends the script before the command is started.
 */
export const mountScript: string = String.raw`
set -eu
umask 077
hide() { mount -t tmpfs -o ro,nosuid,nodev,noexec,mode=000,size=4k none "$1"; }
home= masks= sealed=no
seal() {
  mounts=$(cat /proc/self/mountinfo)
  while read -r _ _ _ _ point options _; do
    mount -o "remount,bind,ro,$(printf %s "$options" | sed 's/^r[wo],*//')" none "$(printf %b "$point")"
  done <<MOUNTS
$mounts
MOUNTS
  open_again "$home"
  resolver=$(cat /etc/resolv.conf 2>/dev/null || true)
  target=$(readlink -f /etc/resolv.conf || true)
  mount -t tmpfs -o nosuid,nodev,noexec,mode=755,size=64k none /run
  case $target in /run/*) (umask 022; mkdir -p "$(dirname "$target")"; printf '%s\n' "$resolver" >"$target") ;; esac
  mount -o remount,bind,ro,nosuid,nodev,noexec none /run
  mkdir "$home/.dev"
  mount -t tmpfs -o nosuid,noexec,mode=755,size=64k none "$home/.dev"
  for node in null zero full random urandom tty; do
    : >"$home/.dev/$node"
    mount --bind "/dev/$node" "$home/.dev/$node"
    mount -o remount,bind,rw,nosuid,noexec none "$home/.dev/$node"
  done
  ln -s /proc/self/fd "$home/.dev/fd"
  mount --rbind "$home/.dev" /dev
  umount -R "$home/.dev"
  rmdir "$home/.dev"
}
open_again() {
  mount --bind "$1" "$1"
  mount -o "remount,bind,rw,$(findmnt -no VFS-OPTIONS -T "$1" | sed 's/^r[wo],*//')" none "$1"
}
alone() {
  folder=$(dirname "$home")
  case $1 in
    begin) exec 8<"$folder"; mount -t tmpfs -o nosuid,nodev,mode=1777,size=64m none "$folder"; keep "$home" ;;
    read-only) mount -o remount,bind,ro,nosuid,nodev none "$folder"; exec 8<&- ;;
    writable) exec 8<&- ;;
    *) exit 64 ;;
  esac
}
keep() {
  below=/proc/self/fd/8/$(basename "$1")
  if [ -d "$below" ]; then mkdir "$1"; else : >"$1"; fi
  mount --no-canonicalize --rbind "$below" "$1"
}
while [ "$1" != -- ]; do
  case $1 in
    home) home=$2 ;;
    sealed) if [ "$2" = yes ]; then seal; fi ;;
    write) open_again "$2" ;;
    mask) hide "$2" ;;
    mute) if [ -S "$2" ]; then mount --bind /dev/null "$2" 2>/dev/null || [ ! -S "$2" ]; fi ;;
    alone) alone "$2" ;;
    keep) keep "$2" ;;
    *) exit 64 ;;
  esac
  shift 2
done
shift
unset PWD OLDPWD
exec "$@"
`;
