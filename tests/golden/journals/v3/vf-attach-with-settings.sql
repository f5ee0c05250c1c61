-- 0 before
-- 1 after
-- 2 killed 16 journal.commit
-- 3 killed 22 journal.commit
-- 4 killed 23 networks.create_port
-- 5 killed 25 journal.amend_holding
-- 6 killed 26 journal.commit
-- 7 killed 28 host_devices.apply
-- 8 killed 30 journal.commit
-- 9 killed 31 attach
-- 10 killed 32 journal.commit
-- 11 killed 34 host_devices.apply
-- 12 incomplete 23 networks.create_port
-- 13 incomplete 28 host_devices.apply
-- 14 incomplete 31 attach
-- 15 incomplete 34 host_devices.apply
-- 16 lost 23 networks.create_port
-- 17 lost 28 host_devices.apply
-- 18 lost 31 attach
-- 19 lost 34 host_devices.apply
-- 20 undoing 04 detach
-- 21 undoing 12 host_devices.apply
-- 22 undoing 14 networks.delete_port
INSERT INTO "compensation_totals" VALUES('claim_device','failed',1); -- 12-15
INSERT INTO "compensation_totals" VALUES('attach_hostdev','failed',1); -- 14-15
INSERT INTO "duration_totals" VALUES('attach','allocate',0.001,1,0.0); -- 1
INSERT INTO "duration_totals" VALUES('attach','plug',0.001,1,0.0); -- 1
INSERT INTO "holdings" VALUES('0000:01:10.0','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'ua-vf1','52:54:00:00:00:01',1,'pool','00000000-0004-4000-8000-000000000000','000000000002','{"mac":"02:00:00:00:00:01","admin_mac":"00:00:00:00:00:00","vlan":0,"qos":0,"vlan_proto":"802.1Q","spoofchk":true,"trust":false,"min_rate":0,"max_rate":0,"link_state":null,"mtu":1500}','{"trust":true,"max_rate":100,"qos":3}','',1700000000.0); -- 1 5-11 17-22
INSERT INTO "holdings" VALUES('0000:01:10.0','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'ua-vf1','52:54:00:00:00:01',1,'pool','00000000-0004-4000-8000-000000000000','000000000002','{}','{"trust":true,"max_rate":100,"qos":3}','',1700000000.0); -- 3-4 12 16
INSERT INTO "holdings" VALUES('0000:01:10.0','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'ua-vf1','52:54:00:00:00:01',1,'pool','00000000-0004-4000-8000-000000000000','000000000002','{"mac":"02:00:00:00:00:01","admin_mac":"00:00:00:00:00:00","vlan":0,"qos":0,"vlan_proto":"802.1Q","spoofchk":true,"trust":false,"min_rate":0,"max_rate":0,"link_state":null,"mtu":1500}','{"trust":true,"max_rate":100,"qos":3}','it failed, for the test',1700000000.0); -- 13
INSERT INTO "holdings" VALUES('0000:01:10.0','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'ua-vf1','52:54:00:00:00:01',1,'pool','00000000-0004-4000-8000-000000000000','000000000002','{"mac":"02:00:00:00:00:01","admin_mac":"00:00:00:00:00:00","vlan":0,"qos":0,"vlan_proto":"802.1Q","spoofchk":true,"trust":false,"min_rate":0,"max_rate":0,"link_state":null,"mtu":1500}','{"trust":true,"max_rate":100,"qos":3}','domain fake still has it',1700000000.0); -- 14-15
INSERT INTO "nics" VALUES('fake:///host','00000000-0001-4000-8000-000000000000','ua-vf1','fake','52:54:00:00:00:01','hostdev','0000:01:10.0','','','','pool','Initialised','Connected','',1700000000.0); -- 1
INSERT INTO "operation_totals" VALUES('attach','hostdev','done','',1); -- 1
INSERT INTO "operations" VALUES(1,'000000000002','attach','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'live','hostdev','{"nics":[{"alias":"ua-vf1","mac":"52:54:00:00:00:01","type":"hostdev","element":"<interface type=''network''>\n  <mac address=''52:54:00:00:00:01''/>\n  <source network=''pool''/>\n  <alias name=''ua-vf1''/>\n</interface>"}],"remembered":[]}','done','done','','','00000000000340008000000000000000',1700000000.0,1700000000.0); -- 1
INSERT INTO "operations" VALUES(1,'000000000002','attach','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'live','hostdev','{"nics":[{"alias":"ua-vf1","mac":"52:54:00:00:00:01","type":"hostdev","element":"<interface type=''network''>\n  <mac address=''52:54:00:00:00:01''/>\n  <source network=''pool''/>\n  <alias name=''ua-vf1''/>\n</interface>"}],"remembered":[]}','running','','','','00000000000340008000000000000000',1700000000.0,NULL); -- 2-11
INSERT INTO "operations" VALUES(1,'000000000002','attach','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'live','hostdev','{"nics":[{"alias":"ua-vf1","mac":"52:54:00:00:00:01","type":"hostdev","element":"<interface type=''network''>\n  <mac address=''52:54:00:00:00:01''/>\n  <source network=''pool''/>\n  <alias name=''ua-vf1''/>\n</interface>"}],"remembered":[]}','incomplete','incomplete','rollback-incomplete','it failed, for the test Undoing it did not finish either (claim_device: it failed, for the test). The journal keeps it: run ''virtnetplug recover''.','00000000000340008000000000000000',1700000000.0,NULL); -- 12
INSERT INTO "operations" VALUES(1,'000000000002','attach','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'live','hostdev','{"nics":[{"alias":"ua-vf1","mac":"52:54:00:00:00:01","type":"hostdev","element":"<interface type=''network''>\n  <mac address=''52:54:00:00:00:01''/>\n  <source network=''pool''/>\n  <alias name=''ua-vf1''/>\n</interface>"}],"remembered":[]}','incomplete','incomplete','rollback-incomplete','it failed, for the test Undoing it did not finish either (claim_device: host device 0000:01:10.0 is quarantined: it failed, for the test. It is lent to nobody; ''virtnetplug recover'' tries again to give it back.). The journal keeps it: run ''virtnetplug recover''.','00000000000340008000000000000000',1700000000.0,NULL); -- 13
INSERT INTO "operations" VALUES(1,'000000000002','attach','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'live','hostdev','{"nics":[{"alias":"ua-vf1","mac":"52:54:00:00:00:01","type":"hostdev","element":"<interface type=''network''>\n  <mac address=''52:54:00:00:00:01''/>\n  <source network=''pool''/>\n  <alias name=''ua-vf1''/>\n</interface>"}],"remembered":[]}','incomplete','incomplete','rollback-incomplete','it failed, for the test Undoing it did not finish either (attach_hostdev: it failed, for the test; claim_device: host device 0000:01:10.0 is quarantined: domain fake still has it. It is lent to nobody; ''virtnetplug recover'' tries again to give it back.). The journal keeps it: run ''virtnetplug recover''.','00000000000340008000000000000000',1700000000.0,NULL); -- 14-15
INSERT INTO "operations" VALUES(1,'000000000002','attach','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'live','hostdev','{"nics":[{"alias":"ua-vf1","mac":"52:54:00:00:00:01","type":"hostdev","element":"<interface type=''network''>\n  <mac address=''52:54:00:00:00:01''/>\n  <source network=''pool''/>\n  <alias name=''ua-vf1''/>\n</interface>"}],"remembered":[]}','incomplete','incomplete','connection-lost','the connection broke, for the test','00000000000340008000000000000000',1700000000.0,NULL); -- 16-19
INSERT INTO "operations" VALUES(1,'000000000002','attach','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'live','hostdev','{"nics":[{"alias":"ua-vf1","mac":"52:54:00:00:00:01","type":"hostdev","element":"<interface type=''network''>\n  <mac address=''52:54:00:00:00:01''/>\n  <source network=''pool''/>\n  <alias name=''ua-vf1''/>\n</interface>"}],"remembered":[]}','running','','','','00000000000540008000000000000000',1700000000.0,NULL); -- 20-22
INSERT INTO "steps" VALUES('000000000002',0,'reserve','ua-vf1','allocate',NULL,'done',1700000000.0,0.0,''); -- 1-22
INSERT INTO "steps" VALUES('000000000002',1,'allocate_actual_device','ua-vf1','allocate',NULL,'done',1700000000.0,0.0,''); -- 1-22
INSERT INTO "steps" VALUES('000000000002',2,'claim_device','ua-vf1','allocate','live','done',1700000000.0,0.0,''); -- 1 6-11 17-22
INSERT INTO "steps" VALUES('000000000002',3,'plug_device','ua-vf1','plug','live','done',1700000000.0,0.0,''); -- 1 8-11 14-15 18-22
INSERT INTO "steps" VALUES('000000000002',4,'attach_hostdev','ua-vf1','plug','live','done',1700000000.0,0.0,''); -- 1 10-11 19-22
INSERT INTO "steps" VALUES('000000000002',5,'change_device','ua-vf1','plug','live','done',1700000000.0,0.0,''); -- 1
INSERT INTO "steps" VALUES('000000000002',6,'confirm','ua-vf1','plug','live','done',1700000000.0,0.0,''); -- 1
INSERT INTO "steps" VALUES('000000000002',2,'claim_device','ua-vf1','allocate','live','started',1700000000.0,NULL,''); -- 2-5
INSERT INTO "steps" VALUES('000000000002',3,'plug_device','ua-vf1','plug','live','planned',NULL,NULL,''); -- 2-5 12 16
INSERT INTO "steps" VALUES('000000000002',4,'attach_hostdev','ua-vf1','plug','live','planned',NULL,NULL,''); -- 2-7 12-13 16-17
INSERT INTO "steps" VALUES('000000000002',5,'change_device','ua-vf1','plug','live','planned',NULL,NULL,''); -- 2-9 12-14 16-18
INSERT INTO "steps" VALUES('000000000002',6,'confirm','ua-vf1','plug','live','planned',NULL,NULL,''); -- 2-22
INSERT INTO "steps" VALUES('000000000002',3,'plug_device','ua-vf1','plug','live','started',1700000000.0,NULL,''); -- 6-7
INSERT INTO "steps" VALUES('000000000002',4,'attach_hostdev','ua-vf1','plug','live','started',1700000000.0,NULL,''); -- 8-9
INSERT INTO "steps" VALUES('000000000002',5,'change_device','ua-vf1','plug','live','started',1700000000.0,NULL,''); -- 10-11 20-22
INSERT INTO "steps" VALUES('000000000002',2,'claim_device','ua-vf1','allocate','live','undo-failed',1700000000.0,0.0,'it failed, for the test'); -- 12
INSERT INTO "steps" VALUES('000000000002',2,'claim_device','ua-vf1','allocate','live','undo-failed',1700000000.0,0.0,'host device 0000:01:10.0 is quarantined: it failed, for the test. It is lent to nobody; ''virtnetplug recover'' tries again to give it back.'); -- 13
INSERT INTO "steps" VALUES('000000000002',3,'plug_device','ua-vf1','plug','live','failed',1700000000.0,0.0,'it failed, for the test'); -- 13
INSERT INTO "steps" VALUES('000000000002',2,'claim_device','ua-vf1','allocate','live','undo-failed',1700000000.0,0.0,'host device 0000:01:10.0 is quarantined: domain fake still has it. It is lent to nobody; ''virtnetplug recover'' tries again to give it back.'); -- 14-15
INSERT INTO "steps" VALUES('000000000002',4,'attach_hostdev','ua-vf1','plug','live','undo-failed',1700000000.0,0.0,'it failed, for the test'); -- 14-15
INSERT INTO "steps" VALUES('000000000002',5,'change_device','ua-vf1','plug','live','failed',1700000000.0,0.0,'it failed, for the test'); -- 15
INSERT INTO "steps" VALUES('000000000002',2,'claim_device','ua-vf1','allocate','live','failed',1700000000.0,0.0,'the connection broke, for the test'); -- 16
INSERT INTO "steps" VALUES('000000000002',3,'plug_device','ua-vf1','plug','live','failed',1700000000.0,0.0,'the connection broke, for the test'); -- 17
INSERT INTO "steps" VALUES('000000000002',4,'attach_hostdev','ua-vf1','plug','live','failed',1700000000.0,0.0,'the connection broke, for the test'); -- 18
INSERT INTO "steps" VALUES('000000000002',5,'change_device','ua-vf1','plug','live','failed',1700000000.0,0.0,'the connection broke, for the test'); -- 19
