/** A failure in the form in which ClickHouse's HTTP interface tells it, with ClickHouse's own numbers and names. */
export class ClickhouseFault extends Error {
  override readonly name = "ClickhouseFault";
  readonly httpStatus: number;
  readonly clickhouseCode: number;

  constructor(httpStatus: number, clickhouseCode: number, type: string, message: string) {
    super(`Code: ${clickhouseCode}. DB::Exception: ${message}. (${type})`);
    this.httpStatus = httpStatus;
    this.clickhouseCode = clickhouseCode;
  }

  static badArguments(message: string): ClickhouseFault {
    return new ClickhouseFault(400, 36, "BAD_ARGUMENTS", message);
  }

  static unknownSetting(name: string): ClickhouseFault {
    return new ClickhouseFault(400, 115, "UNKNOWN_SETTING", `Setting ${name} is not offered by the embedded engine`);
  }

  static authenticationFailed(): ClickhouseFault {
    return new ClickhouseFault(403, 516, "AUTHENTICATION_FAILED", "Authentication failed");
  }

  static tooLarge(what: string, maxBytes: number): ClickhouseFault {
    return new ClickhouseFault(413, 307, "TOO_MANY_BYTES", `${what} has more than ${maxBytes} bytes`);
  }

  static overloaded(): ClickhouseFault {
    return new ClickhouseFault(503, 202, "TOO_MANY_SIMULTANEOUS_QUERIES", "Too many simultaneous queries");
  }
}
