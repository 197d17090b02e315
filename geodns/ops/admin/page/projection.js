// Owns where on the map a place is, by the Equal Earth projection (Šavrič, Patterson, Jenny 2018); refuses to draw.

const [A1, A2, A3, A4] = [1.340264, -0.081106, 0.000893, 0.003796];
const ROOT3 = Math.sqrt(3);
const FULL_X = 2 * ROOT3 * Math.PI / (3 * A1);

export const WIDTH = 1000;
const SCALE = WIDTH / (2 * FULL_X);
export const HEIGHT = 2 * SCALE * raw(90, 0)[1];

function raw(latitude, longitude) {
  const theta = Math.asin(ROOT3 / 2 * Math.sin(latitude * Math.PI / 180));
  const [square, sixth] = [theta ** 2, theta ** 6];
  const slope = A1 + 3 * A2 * square + sixth * (7 * A3 + 9 * A4 * square);
  return [
    2 * ROOT3 * (longitude * Math.PI / 180) * Math.cos(theta) / (3 * slope),
    theta * (A1 + A2 * square + sixth * (A3 + A4 * square)),
  ];
}

/** Degrees → [x, y] in a box of WIDTH × HEIGHT, north up. */
export function project(latitude, longitude) {
  const [x, y] = raw(latitude, longitude);
  return [WIDTH / 2 + SCALE * x, HEIGHT / 2 - SCALE * y];
}

/** An SVG path through places. */
export function path(places) {
  return `M${places.map(([latitude, longitude]) => project(latitude, longitude).map((each) => each.toFixed(1)).join(" ")).join("L")}`;
}

function steps(from, to, by) {
  return Array.from({ length: Math.round((to - from) / by) + 1 }, (_, index) => from + index * by);
}

/** Meridians and parallels, 30° apart. */
export function graticule() {
  const parallels = steps(-60, 60, 30).map((latitude) => path([[latitude, -180], [latitude, 180]]));
  const meridians = steps(-150, 150, 30).map((longitude) => path(steps(-90, 90, 5).map((latitude) => [latitude, longitude])));
  return [...parallels, ...meridians].join("");
}

/** The edge of the world. */
export function outline() {
  const west = steps(-90, 90, 5).map((latitude) => [latitude, -180]);
  return `${path([...west, ...west.map(([latitude]) => [-latitude, 180])])}Z`;
}
