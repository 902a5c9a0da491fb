// SPDX-License-Identifier: MIT
// This device's accelerometer and gyroscope, in SI units and the axes of the standard: flat on a
// table, screen up, acceleration is 9.81 m/s² along z.

const SILENCE_MS = 3000;
const DEGREE = Math.PI / 180;

// Apple's browsers report accelerations with the opposite sign.
const isApple = () => (navigator.vendor ?? "").startsWith("Apple");

export class SensorError extends Error {
  // kind: "insecure", "refused", "missing"
  constructor(kind) {
    super(kind);
    this.kind = kind;
  }
}

// Rotations are about x, y, z in this order in every browser, whatever alpha means elsewhere.
function toReading(event) {
  const a = event.accelerationIncludingGravity;
  const g = event.rotationRate;
  if (a?.x == null || a.y == null || a.z == null)
    return null;
  const sign = isApple() ? -1 : 1;
  return {
    t_us: Math.round((performance.timeOrigin + event.timeStamp) * 1000),
    acc: [sign * a.x, sign * a.y, sign * a.z],
    gyro: g?.alpha == null || g.beta == null || g.gamma == null
      ? null : [g.alpha * DEGREE, g.beta * DEGREE, g.gamma * DEGREE],
  };
}

async function askForPermission() {
  if (!window.isSecureContext)
    throw new SensorError("insecure");
  if (typeof DeviceMotionEvent === "undefined")
    throw new SensorError("missing");
  if (typeof DeviceMotionEvent.requestPermission !== "function")
    return;
  let answer = "denied";
  try {
    answer = await DeviceMotionEvent.requestPermission();
  } catch { // not called by a tap: as good as no
  }
  if (answer !== "granted")
    throw new SensorError("refused");
}

// Calls onReading for each one from now on; call within a tap. Resolves, once the first has come,
// to a function that ends it. Throws SensorError.
export async function startSensor(onReading) {
  await askForPermission();
  return new Promise((resolve, reject) => {
    let isRunning = false;
    const stop = () => window.removeEventListener("devicemotion", onMotion);
    const fail = () => {
      stop();
      reject(new SensorError("missing"));
    };
    const timer = setTimeout(fail, SILENCE_MS);
    function onMotion(event) {
      const reading = toReading(event);
      if (!isRunning) {
        clearTimeout(timer);
        if (reading === null)
          return fail();
        isRunning = true;
        resolve(stop);
      }
      if (reading !== null)
        onReading(reading);
    }
    window.addEventListener("devicemotion", onMotion);
  });
}
