# What the demo runs on every host. The fleet tells each command the name of its host.
number=${MUSTER_HOST_NAME#demo}
sleep "0.$((${number#0} % 7 + 2))"
case "$MUSTER_HOST_NAME" in
  demo07)
    echo "disk /dev/sda1: 97 % full"
    exit 3
    ;;
  demo13)
    echo "clock is 4 s behind" >&2
    ;;
  *)
    echo "all checks passed"
    ;;
esac
