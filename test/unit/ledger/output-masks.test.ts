/** Masks against lines as real programs print them: what is marked, and what must not be. */
import { OutputMask } from '@muster/contract'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { maskText } from '../../../libs/ledger/src/text/output-masks.ts'

const masked = (mask: OutputMask, text: string, host = 'web01.example.com') => maskText(text, new Set([mask]), host)

describe('the host mask', () => {
  test.each([
    ['web01.example.com: ready', '‹host›: ready'],
    ['root@web01:~# uptime', 'root@‹host›:~# uptime'],
    ['Linux WEB01 6.1.0-18-amd64', 'Linux ‹host› 6.1.0-18-amd64'],
    ['web01.other.net', '‹host›.other.net'],
    ['/var/lib/mysql/web01.pid', '/var/lib/mysql/‹host›.pid'],
    ['web011 web01-backup myweb01 web02', 'web011 web01-backup myweb01 web02'],
  ])('in %j', (line, expected) => {
    expect(masked('host', line)).toBe(expected)
  })

  test('takes a host that is named by its address whole, and no part of it', () => {
    expect(masked('host', '10 of 10.0.0.7 at 10.0.0.70', '10.0.0.7')).toBe('10 of ‹host› at 10.0.0.70')
  })
})

describe('the time mask', () => {
  test.each([
    ['2026-11-25T01:33:37Z start', '‹time› start'],
    ['2026-11-25T01:33:37.123456+00:00 x', '‹time› x'],
    ['2026-11-25 01:33:37,123 INFO ready', '‹time› INFO ready'],
    ['backup-2026-11-25.tar.gz', 'backup-‹time›.tar.gz'],
    ['Wed Nov 25 01:33:37 UTC 2026', '‹time›'],
    ['Wed 25 Nov 2026 01:33:37 AM CET', '‹time›'],
    ['Nov 25 01:33:37 web01 sshd[12]: Accepted', '‹time› web01 sshd[12]: Accepted'],
    ['-rw-r--r-- 1 root root 5 Nov  5  2025 passwd', '-rw-r--r-- 1 root root 5 ‹time› passwd'],
    ['-rw-r--r-- 1 root root 5 Nov 25 01:33 shadow', '-rw-r--r-- 1 root root 5 ‹time› shadow'],
    ['[25/Nov/2026:01:33:37 +0000] "GET / HTTP/1.1"', '[‹time›] "GET / HTTP/1.1"'],
    ['Date: Wed, 25 Nov 2026 01:33:37 GMT', 'Date: ‹time›'],
    [' 01:33:37 up 12 days,  3:42,  1 user', ' ‹time› up 12 days,  ‹time›,  1 user'],
    ['started 11/25/2026 1:33 PM', 'started ‹time›'],
    ['1764034417 1764034417123 1764034417.5', '‹time› ‹time› ‹time›'],
    ['at 01:33:37 INFO started', 'at ‹time› INFO started'],
    ['52:54:00:12:34:56 main.c:10:22 1:2:3', '52:54:00:12:34:56 main.c:10:22 1:2:3'],
    ['Marvin 12, Decimal 10, version 2.4.6, 17640344170', 'Marvin 12, Decimal 10, version 2.4.6, 17640344170'],
  ])('in %j', (line, expected) => {
    expect(masked('time', line)).toBe(expected)
  })
})

describe('the address mask', () => {
  test.each([
    ['inet 10.0.0.7/24 brd 10.0.0.255', 'inet ‹address›/24 brd ‹address›'],
    ['listening on 0.0.0.0:22.', 'listening on ‹address›:22.'],
    ['from 192.168.1.1.', 'from ‹address›.'],
    ['inet6 fe80::5054:ff:fe12:3456/64 scope link', 'inet6 ‹address›/64 scope link'],
    ['[2001:db8::1]:443, 2001:db8::2: up', '[‹address›]:443, ‹address›: up'],
    ['::1 localhost, ::ffff:10.0.0.1', '‹address› localhost, ‹address›'],
    ['link/ether 52:54:00:12:34:56 brd ff:ff:ff:ff:ff:ff', 'link/ether ‹address› brd ‹address›'],
    ['HWaddr 52-54-00-AB-CD-EF', 'HWaddr ‹address›'],
    [
      '01:33:37 std::string 999.1.1.1 1.2.3 1.2.3.4.5 v1.2.3.4',
      '01:33:37 std::string 999.1.1.1 1.2.3 1.2.3.4.5 v1.2.3.4',
    ],
  ])('in %j', (line, expected) => {
    expect(masked('address', line)).toBe(expected)
  })
})

describe('the pid mask', () => {
  test.each([
    ['sshd[1234]: Accepted publickey', 'sshd[‹pid›]: Accepted publickey'],
    ['Main PID: 812 (nginx)', 'Main PID: ‹pid› (nginx)'],
    ['pid=77, ppid 1, process 4711 exited with 3', 'pid=‹pid›, ppid ‹pid›, process ‹pid› exited with 3'],
    ['rapid 12 [a1] port 22', 'rapid 12 [a1] port 22'],
  ])('in %j', (line, expected) => {
    expect(masked('pid', line)).toBe(expected)
  })
})

describe('the number mask', () => {
  test.each([
    ['load average: 0.08, 1,024 of 0x7fff', 'load average: ‹number›, ‹number› of ‹number›'],
    ['/dev/sda1  41%', '/dev/sda‹number›  ‹number›%'],
    ['no digits here', 'no digits here'],
  ])('in %j', (line, expected) => {
    expect(masked('number', line)).toBe(expected)
  })
})

test('without masks nothing is changed, and with all of them what was marked is left alone', () => {
  const line = 'Nov 25 01:33:37 web01 sshd[12]: from 10.0.0.7 port 4711'
  expect(maskText(line, new Set(), 'web01')).toBe(line)
  expect(maskText(line, new Set(OutputMask.options), 'web01')).toBe(
    '‹time› ‹host› sshd[‹pid›]: from ‹address› port ‹number›',
  )
})

test('of any text, only letters, digits and what joins them is ever replaced', () => {
  const pieces = fc.constantFrom(
    'web01',
    '10.0.0.7',
    ' ',
    '\n',
    '[7]',
    'fe80::1',
    '12:30',
    '#',
    '"',
    'Nov 5',
    '\xff',
    '(',
  )
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 30 }), fc.subarray(OutputMask.options), (parts, masks) => {
      const text = parts.join('')
      const frame = (some: string) => some.replace(/[^\n#"(\xff]/g, '')
      expect(frame(maskText(text, new Set(masks), 'web01'))).toBe(frame(text))
    }),
  )
})
