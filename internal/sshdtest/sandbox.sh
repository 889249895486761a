# shellcheck shell=sh
# Run by sh in new mount and process namespaces: sandbox.sh FOLDER SSHD [ETC-SSH].
# Whatever is mounted here is seen by this process and its children alone.
set -eu
folder=$1 sshd=$2
trap 'exit 90' EXIT

# An empty /run: a folder for sshd's separation of privileges, no nscd to answer for
# the account files, no utmp to write to. An empty /var/log: no wtmp.
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -m 755 /run/sshd
if [ -d /var/log ]; then
  mount -t tmpfs -o mode=755 tmpfs /var/log
fi
for file in passwd group shadow nsswitch.conf; do
  if [ -e "/etc/$file" ]; then
    mount --bind "$folder/etc/$file" "/etc/$file"
  fi
done
if [ -n "${3:-}" ]; then
  mount --bind "$3" /etc/ssh
fi
trap - EXIT

# Since 9.8 sshd slows an address down that fails to log in often, which a test of
# refusals does; before it does not know the option.
set -- -D -e -f "$folder/sshd_config"
if "$sshd" -t "$@" -o PerSourcePenalties=no 2>/dev/null; then
  set -- "$@" -o PerSourcePenalties=no
fi
exec "$sshd" "$@"
