#!/bin/sh
# Process 1 of the testbed's own mount and PID namespaces. When it dies, the kernel ends every process of the
# testbed with it, pods included, and every mount and pod network goes the same way. So nothing has to be found
# and cleaned up one by one, however the testbed ends.
#
# usage: bootstrap.sh DEBIAN KUBERNETES STATE RUNTIME
set -eu
debian=$1 kubernetes=$2 state=$3 runtime=$4

# The /proc seen here is still the machine's, so this is the process ID that the outside knows us by.
# Whoever started us records it and answers; if they die before that, there is no answer and we go too.
read -r pid rest </proc/self/stat
echo "$pid"
read -r answer
[ "$answer" = recorded ]

# A root of our own: the packages below, a file system in memory above. /var/lib, /var/log, /run, /etc: whatever
# the daemons write there goes into that memory.
mount -t tmpfs -o mode=755 testbed "$state/root"
cd "$state/root"
mkdir upper work merged
mount -t overlay -o "lowerdir=$kubernetes:$debian,upperdir=upper,workdir=work" testbed merged
cd merged
mkdir -p proc sys dev run tmp usr/local/bin ".$state"
chmod 1777 tmp
ln -s ../run var/run
ln -s "$state/docker.sock" run/docker.sock # where kubelet's cAdvisor looks, whatever it is told
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mount --bind "$state" ".$state"
cp -L /etc/resolv.conf /etc/hosts etc/ 2>/dev/null || :
printf 'root:x:0:0:root:/root:/bin/sh\n' >etc/passwd
printf 'root:x:0:\n' >etc/group
install "$runtime" usr/local/bin/pod-runtime

# kubelet and the ptp plugin set these for the whole machine. Here they find files that already say what they want.
mkdir run/sysctl
while read -r value name; do
  [ -e "proc/sys/$name" ] || continue
  echo "$value" >"run/sysctl/${name##*/}"
  mount --bind "run/sysctl/${name##*/}" "proc/sys/$name"
done <<SYSCTLS
1 vm/overcommit_memory
0 vm/panic_on_oom
10 kernel/panic
1 kernel/panic_on_oops
1000000 kernel/keys/root_maxkeys
25000000 kernel/keys/root_maxbytes
1 net/ipv4/ip_forward
SYSCTLS

mount --make-rshared .
echo ready
exec chroot . /usr/bin/tini-static -- /bin/sleep infinity
