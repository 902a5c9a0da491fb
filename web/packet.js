// SPDX-License-Identifier: MIT
// Readings as the server's IMU packets (src/codec/imu_packet.h): little-endian, no padding.

const HEAD_BYTES = 36;
const HAS_GYRO = 1, HAS_TIMES = 4, HAS_FIRST = 8;

export const PACKET_MAX = 1024; // readings; more are allowed

// readings: [{t_us, acc: [x, y, z], gyro: [x, y, z]}], first: the number of the first of them.
export function encodePacket(readings, first, hasGyro) {
  const t0 = readings[0].t_us;
  const size = hasGyro ? 28 : 16;
  const view = new DataView(new ArrayBuffer(HEAD_BYTES + readings.length * size));

  [..."VIMU"].forEach((c, i) => view.setUint8(i, c.charCodeAt(0)));
  view.setUint8(4, 1);
  view.setUint8(5, (hasGyro ? HAS_GYRO : 0) | HAS_TIMES | HAS_FIRST);
  view.setUint16(6, readings.length, true);
  view.setBigUint64(8, BigInt(first), true);
  view.setBigInt64(16, BigInt(t0), true);
  let at = HEAD_BYTES;
  const put = (value) => {
    view.setFloat32(at, value, true);
    at += 4;
  };
  for (const r of readings) {
    view.setInt32(at, r.t_us - t0, true);
    at += 4;
    r.acc.forEach(put);
    if (hasGyro)
      r.gyro.forEach(put);
  }
  return view.buffer;
}
