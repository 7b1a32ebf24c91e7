#!/bin/sh
# The OCI runtime of every container: gVisor, but runc for the pause container, which holds a pod's namespaces.
#
# dockershim knows no runtime but the daemon's default one, so the choice is made here, once, when a container is
# created; for every later command a file named after its ID remembers it.
sandboxes=/run/pod-sandboxes
mkdir -p "$sandboxes"

bundle='' previous='' id='' runtime=runsc
for argument; do
  [ "$previous" = --bundle ] && bundle=$argument
  [ -e "$sandboxes/$argument" ] && runtime=runc id=$argument
  previous=$argument
done

if [ -n "$bundle" ]; then
  # Lowering the score takes CAP_SYS_RESOURCE, which root does not have everywhere.
  sed -i 's/"oomScoreAdj":-[0-9]*/"oomScoreAdj":0/' "$bundle/config.json"
  if grep -q '"args":\["/pause"\]' "$bundle/config.json"; then
    runtime=runc
    : >"$sandboxes/$previous" # the container's ID is the last argument of `create`
  fi
fi

case "$runtime $*" in
  "runc "*" delete "*) rm -f "$sandboxes/$id" ;;
esac

if [ "$runtime" = runc ]; then
  exec runc "$@"
fi
# This runsc refuses its own network stack on newer kernels. `host` means the pod's network namespace, in which it
# is started.
exec runsc --network=host --ignore-cgroups "$@"
