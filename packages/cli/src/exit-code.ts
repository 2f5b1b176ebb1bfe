/** Exit statuses of every command. Part of the interface: scripts rely on them. */
export const exitCode = {
  ok: 0,
  /** Anything that has no status of its own. */
  failed: 1,
  /** The command line is wrong. */
  usage: 2,
  /** Policy, revocation or enrollment said no. */
  refused: 3,
  /** The network, a router or a service does not answer. */
  unreachable: 4,
  /** There is no usable identity on this machine: enroll first. */
  notEnrolled: 5,
  /** A network already runs on this state folder. */
  alreadyRunning: 6,
  /** Ended by Ctrl-C before it was done. */
  interrupted: 130,
} as const;

export type ExitCode = (typeof exitCode)[keyof typeof exitCode];

/** For `--help`. */
export const exitCodeHelp: string = `Exit status:
  0 done                  4 network or router unreachable
  1 failed                5 no usable identity: enroll first
  2 wrong command line    6 a network already runs on this state folder
  3 refused by policy     130 ended by Ctrl-C`;
