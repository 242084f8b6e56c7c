// Vacuum and air, units of wavelength, velocities: how a wavelength is shown and read back.

const C_KM_S = 299792.458;

export const MEDIA = ["vacuum", "air"];
export const UNITS = { "Å": 1, nm: 0.1, "µm": 1e-4 };

/** The refractive index of standard air at a vacuum wavelength in Å (Morton 2000, ApJS 130, 403, equation 8). */
function refractiveIndex(vacuum) {
  const s2 = (1e4 / vacuum) ** 2;
  return 1 + 8.34254e-5 + 2.406147e-2 / (130 - s2) + 1.5998e-4 / (38.9 - s2);
}

export function vacuumToAir(vacuum) {
  return vacuum / refractiveIndex(vacuum);
}

/** The inverse of vacuumToAir, by iteration; good to 1e-9 Å after three steps. */
export function airToVacuum(air) {
  let vacuum = air;
  for (let i = 0; i < 4; i += 1) vacuum = air * refractiveIndex(vacuum);
  return vacuum;
}

/** A vacuum wavelength in Å, in the spectrum's own frame, as the reader wants it, and back. */
export class Scale {
  /** @param {number} redshift   0 shows the frame of the spectrum, anything else the rest frame at that redshift */
  constructor(medium = "vacuum", unit = "Å", redshift = 0) {
    this.medium = MEDIA.includes(medium) ? medium : "vacuum";
    this.unit = unit in UNITS ? unit : "Å";
    this.redshift = redshift;
  }

  show(vacuum) {
    const rest = vacuum / (1 + this.redshift);
    return (this.medium === "air" ? vacuumToAir(rest) : rest) * UNITS[this.unit];
  }

  read(shown) {
    const value = shown / UNITS[this.unit];
    return (this.medium === "air" ? airToVacuum(value) : value) * (1 + this.redshift);
  }

  get label() {
    const frame = this.redshift ? `, rest frame at z = ${this.redshift.toPrecision(4)}` : "";
    return `Wavelength in ${this.medium} (${this.unit})${frame}`;
  }

  format(vacuum) {
    const digits = this.unit === "Å" ? 1 : this.unit === "nm" ? 2 : 5;
    return `${this.show(vacuum).toFixed(digits)} ${this.unit}`;
  }
}

/** Radial velocity in km/s of a redshift, and back: relativistic along the line of sight. */
export function velocityOf(redshift) {
  const ratio = (1 + redshift) ** 2;
  return (C_KM_S * (ratio - 1)) / (ratio + 1);
}

export function redshiftOf(velocity) {
  const beta = Math.max(-0.999999, Math.min(0.999999, velocity / C_KM_S));
  return Math.sqrt((1 + beta) / (1 - beta)) - 1;
}
