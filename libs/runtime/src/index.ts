export { type Environment, loadDotEnv, parseConfig, parseConfigOrExit, secretsOf } from './config/config.ts'
export { createLogger, type Logger, type LoggerOptions, LogLevel } from './log/logger.ts'
export { SecretScrubber } from './log/secret-scrubber.ts'
export {
  describeExit,
  type Exit,
  type ProcessOptions,
  type RunningProcess,
  startProcess,
} from './process/child-process.ts'
export { Closers } from './process/closers.ts'
export { freePort } from './process/free-port.ts'
export { type KeepRunningOptions, type KeptProcesses, keepRunning } from './process/keep-running.ts'
export { type Life, type RunProcessOptions, runProcess } from './process/run-process.ts'
export { findProgram, installSystemPackage, type SystemPackageOptions } from './process/system-package.ts'
export { type EndSignal, type UntilSignalOptions, untilSignal } from './process/until-signal.ts'
export { DataDirInUse } from './redis/embedded-redis.ts'
export { type PingAnswer, pingRedis, redisAddress } from './redis/redis-ping.ts'
export { type RedisServer, type StartRedisOptions, startRedis } from './redis/redis-server.ts'
