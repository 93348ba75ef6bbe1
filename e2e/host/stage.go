package host

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	systemd    = "/lib/systemd/systemd"
	stageName  = "exile-host-stage"   // argv[0] of the process that becomes PID 1
	askpassEnv = "EXILE_E2E_PASSWORD" // set for the process that answers ssh
	mergedRoot = upper + "/root"      // the overlay
)

// seed is what the stage is told.
type seed struct {
	First bool // the first boot: prepare the file system
	Name  string
	Lower string
	Tree  string
	Files []file
}

// Main must be the first call in main or TestMain of a program that boots hosts: the program is run again to become PID 1 of
// the host and to hand passwords to ssh. In those cases Main does not return.
func Main() {
	if password, ok := os.LookupEnv(askpassEnv); ok {
		fmt.Println(password)
		os.Exit(0)
	}
	if os.Args[0] != stageName {
		return
	}
	fmt.Fprintln(os.Stderr, stageName+":", stage([]byte(os.Args[1])))
	os.Exit(1)
}

func stageCommand(s seed) *exec.Cmd {
	arg, err := json.Marshal(s)
	if err != nil {
		panic(err) // a struct of strings
	}
	return &exec.Cmd{Path: "/proc/self/exe", Args: []string{stageName, string(arg)}, Env: []string{}}
}

// stage runs as PID 1 in the new namespaces: it mounts what a container manager would, and becomes systemd.
func stage(arg []byte) error {
	// systemd inherits a thread's attributes only from the thread that executes it: capabilities, and the parent-death
	// signal.
	runtime.LockOSThread()
	var s seed
	if err := json.Unmarshal(arg, &s); err != nil {
		return err
	}
	if err := mountRoot(s.Lower); err != nil {
		return err
	}
	if s.First {
		if err := prepare(mergedRoot, s); err != nil {
			return fmt.Errorf("prepare root: %w", err)
		}
	}
	if err := mountSystem(mergedRoot); err != nil {
		return err
	}
	if err := enter(mergedRoot); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte(s.Name)); err != nil {
		return fmt.Errorf("set host name: %w", err)
	}
	if err := dropCapabilities(); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("set parent-death signal: %w", err)
	}
	err := unix.Exec(systemd, []string{systemd, "--system", "--show-status=no"}, append(environment, "container=exile-e2e"))
	return fmt.Errorf("execute %s: %w", systemd, err)
}

func mountRoot(lower string) error {
	for _, dir := range []string{"upper", "work", "root"} {
		if err := os.MkdirAll(filepath.Join(upper, dir), 0o755); err != nil {
			return err
		}
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", lower, upper, upper)
	if err := unix.Mount("overlay", mergedRoot, "overlay", 0, options); err != nil {
		return fmt.Errorf("mount overlay of %s: %w", lower, err)
	}
	return nil
}

// mountSystem mounts the kernel's file systems. Whatever has no namespace is read-only: the outer machine's settings and
// devices are none of the host's business.
func mountSystem(root string) error {
	const quiet = unix.MS_NOSUID | unix.MS_NOEXEC | unix.MS_NODEV
	for _, m := range []struct {
		kind, at string
		flags    uintptr
		options  string
	}{
		{"proc", "proc", quiet, ""},
		{"sysfs", "sys", quiet | unix.MS_RDONLY, ""},
		{"cgroup2", "sys/fs/cgroup", quiet, ""},
		{"tmpfs", "run", unix.MS_NOSUID | unix.MS_NODEV, "mode=755"},
		{"tmpfs", "tmp", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
		{"tmpfs", "dev", unix.MS_NOSUID, "mode=755"},
		{"devpts", "dev/pts", unix.MS_NOSUID | unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620,gid=5"},
		{"tmpfs", "dev/shm", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
	} {
		at := filepath.Join(root, m.at)
		if err := os.MkdirAll(at, 0o755); err != nil && !os.IsExist(err) {
			return fmt.Errorf("make mount point: %w", err)
		}
		if err := unix.Mount(m.kind, at, m.kind, m.flags, m.options); err != nil {
			return fmt.Errorf("mount %s on /%s: %w", m.kind, m.at, err)
		}
	}
	if err := newBootID(root); err != nil {
		return err
	}
	if err := readOnly(filepath.Join(root, "proc/sys")); err != nil {
		return err
	}
	return makeDevices(filepath.Join(root, "dev"))
}

// newBootID hides the kernel's boot ID, which does not change when only the host boots.
func newBootID(root string) error {
	id, err := os.ReadFile("/proc/sys/kernel/random/uuid")
	if err != nil {
		return err
	}
	path := filepath.Join(root, "run/boot-id")
	if err := os.WriteFile(path, id, 0o444); err != nil {
		return err
	}
	if err := unix.Mount(path, filepath.Join(root, "proc/sys/kernel/random/boot_id"), "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("set boot ID: %w", err)
	}
	return nil
}

func readOnly(dir string) error {
	if err := unix.Mount(dir, dir, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind %s: %w", dir, err)
	}
	if err := unix.Mount("", dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("make %s read-only: %w", dir, err)
	}
	return nil
}

func makeDevices(dev string) error {
	for name, number := range map[string]uint64{
		"null": unix.Mkdev(1, 3), "zero": unix.Mkdev(1, 5), "full": unix.Mkdev(1, 7),
		"random": unix.Mkdev(1, 8), "urandom": unix.Mkdev(1, 9), "tty": unix.Mkdev(5, 0),
	} {
		path := filepath.Join(dev, name)
		if err := unix.Mknod(path, unix.S_IFCHR|0o666, int(number)); err != nil {
			return fmt.Errorf("make device %s: %w", name, err)
		}
		if err := os.Chmod(path, 0o666); err != nil {
			return err
		}
	}
	for name, target := range map[string]string{
		"ptmx": "pts/ptmx", "fd": "/proc/self/fd",
		"stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
	} {
		if err := os.Symlink(target, filepath.Join(dev, name)); err != nil {
			return err
		}
	}
	return nil
}

// enter makes the folder the root file system and detaches the outer one.
func enter(root string) error {
	if err := os.Chdir(root); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("detach outer root: %w", err)
	}
	return os.Chdir("/")
}

// dropCapabilities drops the host's capabilities that would reach the kernel it shares with the outer machine.
func dropCapabilities() error {
	for _, c := range []uintptr{unix.CAP_SYS_MODULE, unix.CAP_SYS_TIME, unix.CAP_SYS_RAWIO, unix.CAP_SYSLOG} {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
			return fmt.Errorf("drop capability %d: %w", c, err)
		}
	}
	return nil
}

// outers are the outer machine's own settings and data, which a copy of its root must not use.
var outers = []string{
	"etc/systemd/system", "etc/systemd/user", "etc/fstab", "etc/crypttab", "etc/exile", "etc/ssh/sshd_config.d", "etc/cron.d",
	"etc/resolv.conf", "root/.ssh", "usr/sbin/policy-rc.d", "var/lib/exile", "var/lib/systemd", "var/log/journal",
}

// prepare turns a copy of the outer machine's root into a host of its own: only what s brings is enabled.
func prepare(root string, s seed) error {
	for _, name := range outers {
		if err := os.RemoveAll(filepath.Join(root, name)); err != nil {
			return err
		}
	}
	if s.Tree != "" {
		if err := copyTree(root, s.Tree); err != nil {
			return fmt.Errorf("copy %s: %w", s.Tree, err)
		}
	}
	for _, f := range s.Files {
		if err := f.write(root); err != nil {
			return err
		}
	}
	return nil
}

// copyTree copies a folder over the root: existing folders keep their owner and mode, files are replaced.
func copyTree(root, tree string) error {
	return filepath.WalkDir(tree, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, tree)
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			return os.MkdirAll(filepath.Join(root, name), 0o755)
		case d.Type() == os.ModeSymlink:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return file{Name: name, Link: target}.write(root)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return file{Name: name, Data: data, Mode: info.Mode().Perm()}.write(root)
	})
}
