/**
 * The program that lists a directory on a host, and the parser of its output. The program is the same for every call:
 * path, page and limit are arguments and never part of its text.
 */
import type { DirectoryEntry } from '@muster/contract'
import { NAME_LIMIT_BYTES, nameText, pathArgument, printfText } from './host-path.ts'

/**
 * Runs in sh. Uses GNU find if the host has it, else what any sh has, with `stat` and `readlink` where they exist.
 * Prints records that end with NUL: first `dir/COUNT` or `entry`, then for each entry `DOT
 * NAME/TYPE/SIZE/MODE/TIME/OWNER:GROUP:TARGET`. A name has no "/" and the target of a link comes last, so nothing in a
 * name or target can be mistaken for a separator.
 *
 * Arguments: the path, the most entries, and the name after which to continue, as two: 1 if it begins with a dot, else
 * 0; and the name itself, for printf %b. Names with a leading dot come last in the list.
 */
const PROGRAM = String.raw`
p=$1 most=$2 dot=$3 after=$4
nl='
'
ls -d "$p" >/dev/null || exit
fields='%f/%y/%s/%m/%T@/%u:%g:%l\0'
gnu=0
find / -maxdepth 0 -printf '' >/dev/null 2>&1 &&
  printf 'x/\0' | sort -z -t/ -k1,1 2>/dev/null | grep -zx -m1 -A 1 -e '[^/]*/' >/dev/null 2>&1 &&
  gnu=1
describe() {
  kind=o
  if [ -L "$1" ]; then kind=l
  elif [ -d "$1" ]; then kind=d
  elif [ -f "$1" ]; then kind=f
  elif [ -p "$1" ]; then kind=p
  elif [ -S "$1" ]; then kind=s
  elif [ -b "$1" ]; then kind=b
  elif [ -c "$1" ]; then kind=c
  fi
  facts=$(stat -c '%s/%a/%Y/%U:%G:' "$1" 2>/dev/null) ||
    facts=$(stat -f '%z/%Lp/%m/%Su:%Sg:' "$1" 2>/dev/null) ||
    facts=///::
  target=
  if [ $kind = l ]; then
    target=$(readlink "$1" 2>/dev/null; printf x)
    target=${'$'}{target%x}
    target=${'$'}{target%"$nl"}
  fi
  printf '%s%s/%s/%s%s\0' "$2" "$3" "$kind" "$facts" "$target"
}
if [ ! -d "$p" ]; then
  printf 'entry\0'
  if [ $gnu = 1 ]; then find "$p" -maxdepth 0 -printf "0$fields"; else describe "$p" 0 "${'$'}{p##*/}"; fi
  exit
fi
if [ ! -r "$p" ] || [ ! -x "$p" ]; then
  echo 'Permission denied' >&2
  exit 1
fi
if [ $gnu = 1 ]; then
  count=$(find -H "$p" -mindepth 1 -maxdepth 1 -printf x | wc -c)
  printf 'dir/%s\0' "$((count))"
  {
    find -H "$p" -mindepth 1 -maxdepth 1 '(' -name '.*' -printf 1 -o -printf 0 ')' -printf "$fields"
    [ -z "$dot" ] || printf '%s%b/*\0' "$dot" "$after"
  } | sort -z -t/ -k1,1 | if [ -z "$dot" ]; then
    grep -z -m "$most" -e ''
  else
    grep -zx -m1 -A "$((most + 1))" -e '[^/]*/\*'
  fi
  exit 0
fi
after=$(printf '%b' "$after"; printf x)
after=${'$'}{after%x}
count=0
for path in "$p"/* "$p"/.*; do
  name=${'$'}{path##*/}
  [ "x$name" = x. ] || [ "x$name" = x.. ] && continue
  [ -e "$path" ] || [ -L "$path" ] || continue
  count=$((count + 1))
done
printf 'dir/%s\0' "$count"
for path in "$p"/* "$p"/.*; do
  name=${'$'}{path##*/}
  [ "x$name" = x. ] || [ "x$name" = x.. ] && continue
  [ -e "$path" ] || [ -L "$path" ] || continue
  case $name in .*) is=1 ;; *) is=0 ;; esac
  [ -z "$dot" ] || [ "$is$name" \> "$dot$after" ] || continue
  [ "$most" -gt 0 ] || break
  most=$((most - 1))
  describe "$path" $is "$name"
done
`

/** The argv that lists a directory: up to one entry more than `limit`, which shows whether there is a next page. */
export function directoryCommand(path: string, limit: number, after: Buffer | undefined): string[] {
  const resumption = after === undefined ? ['', ''] : [after[0] === 0x2e ? '1' : '0', printfText(after)]
  return ['sh', '-c', PROGRAM, 'list_directory', pathArgument(path), String(limit + 1), ...resumption]
}

/** An entry, and its name as the host has it. */
type ReadEntry = DirectoryEntry & { readonly bytes: Buffer }

/** What a host answered. */
export type ReadDirectory = {
  readonly isDirectory: boolean
  /** How many entries there are in all. */
  readonly total: number
  readonly entries: readonly ReadEntry[]
}

const TYPES: Readonly<Record<string, string>> = {
  f: 'file',
  d: 'directory',
  l: 'symlink',
  p: 'fifo',
  s: 'socket',
  b: 'block',
  c: 'char',
}

/** Parses the whole records of the output, without the entry `after` itself. Undefined for any other output. */
export function readDirectory(printed: Buffer, after: Buffer | undefined): ReadDirectory | undefined {
  // latin1 gives one character per byte, so no byte is lost.
  const records = printed.toString('latin1').split('\0').slice(0, -1)
  const [head = '', ...rest] = records
  const [, count] = /^dir\/(\d{1,15})$/.exec(head) ?? []
  if (count === undefined && head !== 'entry') return undefined
  const entries: ReadEntry[] = []
  for (const record of rest) {
    const entry = readEntry(record)
    if (entry === undefined) {
      if (/^[01][^/]*\/\*$/.test(record)) continue
      return undefined
    }
    if (after === undefined || !entry.bytes.equals(after)) entries.push(entry)
  }
  return { isDirectory: count !== undefined, total: count === undefined ? 1 : Number(count), entries }
}

/** A link target is at most as long as a path. */
const RECORD = new RegExp(
  [
    `^[01]([^/]{1,${NAME_LIMIT_BYTES}})`,
    String.raw`(\w)`,
    String.raw`(\d{0,15})`,
    '([0-7]{0,5})',
    String.raw`(-?\d{0,12}(?:\.\d{0,12})?)`,
    String.raw`([^:]{0,255}):([^:]{0,255}):([\s\S]{0,4096})$`,
  ].join('/'),
)

function readEntry(record: string): ReadEntry | undefined {
  const [, name, kind = '', size, mode, time, owner, group, target = ''] = RECORD.exec(record) ?? []
  if (name === undefined) return undefined
  const bytes = Buffer.from(name, 'latin1')
  const textOf = (latin1: string) => nameText(Buffer.from(latin1, 'latin1'))
  const modifiedAt = timeText(time)
  return {
    bytes,
    name: nameText(bytes),
    type: TYPES[kind] ?? 'other',
    ...(size ? { size_bytes: Number(size) } : {}),
    ...(mode ? { mode: mode.padStart(4, '0') } : {}),
    ...(owner ? { owner: textOf(owner) } : {}),
    ...(group ? { group: textOf(group) } : {}),
    ...(modifiedAt === undefined ? {} : { modified_at: modifiedAt }),
    ...(kind === 'l' ? { target: textOf(target) } : {}),
  }
}

/** The time, to the second: more is of no use, and not every host has it. */
function timeText(seconds: string | undefined): string | undefined {
  const date = new Date(Math.floor(Number(seconds || Number.NaN)) * 1_000)
  return Number.isNaN(date.getTime()) ? undefined : date.toISOString().replace('.000Z', 'Z')
}
