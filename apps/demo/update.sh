# A change that is rolled out. It goes wrong on the second host, and would on many others.
case "$MUSTER_HOST_NAME" in
  demo*[13579])
    echo "updated to 2.4.1"
    ;;
  *)
    echo "updated to 2.4.1"
    echo "demo.conf: line 12: unknown setting 'workers'" >&2
    exit 1
    ;;
esac
