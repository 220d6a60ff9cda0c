/** The program that asks a host how full its file systems are, and the parser of its output. */
import { pathArgument } from './host-path.ts'

const COLUMNS = 'source,fstype,size,used,avail,itotal,iused,pcent,target'

/**
 * Runs in sh. Uses the df of GNU, else a df that prints types, else that of POSIX. Its argument, if any, is a path.
 * Without a path it succeeds even when some file systems cannot be read, so that the others are reported.
 */
const PROGRAM = `
if df -B1 --output=${COLUMNS} / >/dev/null 2>&1; then df -B1 --output=${COLUMNS} "$@"
else
  case $(df -P -k -T / 2>/dev/null) in
    *Type*) df -P -k -T "$@" ;;
    *) df -P -k "$@" ;;
  esac
fi
status=$?
[ $# -gt 0 ] || exit 0
exit $status
`

/** The argv; without a path it asks for all file systems. */
export function diskCommand(path: string | undefined): string[] {
  return ['sh', '-c', PROGRAM, 'check_disk_usage', ...(path === undefined ? [] : [pathArgument(path)])]
}

/** A file system of a host. */
export type ReadDisk = {
  readonly filesystem: string
  /** Undefined if the host does not say. */
  readonly type: string | undefined
  readonly mount: string
  readonly sizeBytes: number
  readonly usedBytes: number
  readonly availableBytes: number
  /** As df counts it: of what ordinary users may use, rounded up. */
  readonly usedPercent: number
  readonly inodesUsedPercent: number | undefined
}

const GNU =
  /^(.*?) +([\w.-]{1,64}) +(\d{1,16}) +(\d{1,16}) +(-?\d{1,16}) +(\d{1,16}|-) +(\d{1,16}|-) +(\d{1,3}%|-) (.+)$/
const TYPED = /^(.*?) +([\w.-]{1,64}) +(\d{1,16}) +(\d{1,16}) +(-?\d{1,16}) +(\d{1,3}%|-) +(.+)$/
const PLAIN = /^(.*?) +(\d{1,16}) +(\d{1,16}) +(-?\d{1,16}) +(\d{1,3}%|-) +(.+)$/
/** Longer lines are skipped. A long device, such as a share, with a long mount point is still shorter. */
const LINE_CHARS = 2_048

/** Parses what df printed, in any of its three forms. Skips lines that are not file systems. */
export function readDisks(printed: string): ReadDisk[] {
  const [head = '', ...lines] = printed.split('\n').filter((line) => line.length <= LINE_CHARS)
  const isGnu = /^Filesystem.*Inodes.*Mounted on$/.test(head)
  const read = isGnu ? readGnu : /^Filesystem +Type /.test(head) ? readTyped : readPlain
  return lines.flatMap(read).filter(isPossible)
}

/** Whether all numbers are exact integers. Larger ones cannot be an answer of df. */
function isPossible({ sizeBytes, usedBytes, availableBytes, usedPercent, inodesUsedPercent = 0 }: ReadDisk): boolean {
  return [sizeBytes, usedBytes, availableBytes, usedPercent, inodesUsedPercent].every(Number.isSafeInteger)
}

function readGnu(line: string): ReadDisk[] {
  const [, filesystem, type, size, used, available, inodes, inodesUsed, percent, mount] = GNU.exec(line) ?? []
  if (filesystem === undefined || mount === undefined) return []
  const ofInodes = percentOf(Number(inodesUsed), Number(inodes))
  return [diskOf({ filesystem, type, mount, percent }, [size, used, available].map(Number), ofInodes)]
}

function readTyped(line: string): ReadDisk[] {
  const [, filesystem, type, size, used, available, percent, mount] = TYPED.exec(line) ?? []
  if (filesystem === undefined || mount === undefined) return []
  return [diskOf({ filesystem, type, mount, percent }, inBytes([size, used, available]), undefined)]
}

function readPlain(line: string): ReadDisk[] {
  const [, filesystem, size, used, available, percent, mount] = PLAIN.exec(line) ?? []
  if (filesystem === undefined || mount === undefined) return []
  return [diskOf({ filesystem, type: undefined, mount, percent }, inBytes([size, used, available]), undefined)]
}

function inBytes(kibibytes: readonly (string | undefined)[]): number[] {
  return kibibytes.map((text) => Number(text) * 1_024)
}

function diskOf(
  { percent, ...of }: { filesystem: string; type: string | undefined; mount: string; percent: string | undefined },
  [sizeBytes = 0, usedBytes = 0, availableBytes = 0]: readonly number[],
  inodesUsedPercent: number | undefined,
): ReadDisk {
  const told = /^(\d+)%$/.exec(percent ?? '')?.[1]
  const usedPercent = told === undefined ? percentOf(usedBytes, usedBytes + Math.max(0, availableBytes)) : Number(told)
  return { ...of, sizeBytes, usedBytes, availableBytes, usedPercent: usedPercent ?? 0, inodesUsedPercent }
}

function percentOf(used: number, all: number): number | undefined {
  return all > 0 ? Math.ceil((used * 100) / all) : undefined
}

/** Types that live in memory, show data from elsewhere, or are images that are always full. */
const NOT_DISKS: ReadonlySet<string> = new Set(
  (
    'tmpfs devtmpfs ramfs rootfs proc sysfs cgroup cgroup2 devpts securityfs debugfs tracefs efivarfs squashfs ' +
    'iso9660 udf erofs autofs overlay aufs fuse.lxcfs fuse.gvfsd-fuse fuse.portal fuse.snapfuse nsfs'
  ).split(' '),
)
/** What df prints instead of a device, on hosts where it prints no types. */
const NO_DEVICE = /^(none|udev|shm|dev|devfs|map .*)$/

/** Whether a file system holds data of its own. The root counts even as the overlay of a container. */
export function isDisk({ filesystem, type, mount, sizeBytes }: ReadDisk): boolean {
  if (sizeBytes === 0) return false
  const kind = type ?? filesystem
  if (mount === '/') return kind !== 'rootfs'
  return !NOT_DISKS.has(kind) && !(type === undefined && NO_DEVICE.test(filesystem))
}
